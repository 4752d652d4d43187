import { LRUCache } from 'lru-cache';
import type { SdkClientsConfig } from '../config/config.ts';
import { ProblemError } from '../http/problem.ts';
import type { Platform } from '../platform/platform.ts';
import {
  buildCanonicalHeaders,
  buildCanonicalQueryString,
  buildCanonicalRequest,
  buildCanonicalUri,
  EMPTY_PAYLOAD_HASH,
  type NameValuePair,
} from '../signing/canonical-request.ts';
import type { KeyPair } from '../signing/credential.ts';
import { type Digests, WEB_CRYPTO_DIGESTS } from '../signing/digests.ts';
import { ALGORITHM, buildStringToSign } from '../signing/sign-request.ts';
import { utcEpochMsOfDigits } from '../time/utc.ts';
import { createLocalKeyStore } from './local-key-store.ts';
import { type Principal, refusalOf } from './principal.ts';
import { createReplayMemory } from './replay-memory.ts';

/** A signature's date may differ this much from our clock, as at the vendor's gateway: 15 minutes. */
export const MAX_SKEW_MS = 900_000;
/** What stands for the issuer of a caller that is proved by a signature. */
export const SDK_KEYS_ISSUER = 'sdk-keys';

const SCHEME = `${ALGORITHM} `;
const AUTHORIZATION =
  /^SDK-HMAC-SHA256 Access=([A-Za-z0-9_-]{1,128}), ?SignedHeaders=([a-z0-9_;-]{1,1024}), ?Signature=([0-9a-f]{64})$/;
const SDK_DATE = /^(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)T(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)Z$/;
/**
 * What may be signed for a body. GET has none here, whatever is sent: nothing reads it. The Node SDK sends and signs
 * `{}` with its project look-up (huaweicloud-sdk-core, internal/services/iam.service.js).
 */
const PAYLOAD_HASHES = [
  EMPTY_PAYLOAD_HASH,
  '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
] as const;
/** For a signature of an unknown key: its check must take as long. No one has this pair. */
const NO_KEY: KeyPair = Object.freeze({ accessKeyId: 'none', secretAccessKey: 'none' });

/** The parts of a request that can be signed. */
export interface SignedRequest {
  readonly method: string;
  /** Absolute, with the query. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
}

/** A caller who was proved by a signature. */
export interface SignedCaller {
  readonly caller: Principal;
  /**
   * Uses the signature up for other addresses. Call it when nothing stands against the request any more, and await nothing
   * after it.
   *
   * @throws ProblemError `unauthenticated` when another address was quicker
   */
  admit(): void;
}

export interface SignatureVerifier {
  /**
   * Who signed this request?
   *
   * @param clientAddress where it came from, for replay protection
   * @throws ProblemError (rejects with it) `unauthenticated`
   */
  verify(request: SignedRequest, clientAddress: string): Promise<SignedCaller>;
}

/** Is this the Authorization header of one of the vendor's SDKs? */
export function isSdkAuthorization(authorization: string | null): authorization is string {
  return authorization?.startsWith(SCHEME) ?? false;
}

/**
 * Checks requests that the vendor's SDKs have signed with SDK-HMAC-SHA256 and a key pair of ours. The canonical
 * request is rebuilt from what arrived, with the headers that the client chose to sign: the Go SDK signs no host,
 * the Node SDK signs content-type. The date must be among them, and where the host is, it must be the one that
 * arrived or the configured one.
 */
export function createSignatureVerifier(
  config: SdkClientsConfig,
  deps: Pick<
    Platform,
    | 'now'
    | 'elapsed'
    | 'schedule'
    | 'digests'
    | 'readTextFile'
    | 'waitUntil'
    | 'createSingleFlight'
    | 'logger'
  >,
): SignatureVerifier {
  const store = createLocalKeyStore(config, deps);
  const { digests = WEB_CRYPTO_DIGESTS } = deps;
  /** A KeyPair for each pair: the signer keeps its imported key with the object. */
  const credentials = new LRUCache<string, KeyPair>({ max: 1000 });
  const replays = config.isReplayRefused ? createReplayMemory(deps) : undefined;

  function credentialOf(accessKeyId: string, secretAccessKey: string): KeyPair {
    const known = credentials.get(accessKeyId);
    if (known?.secretAccessKey === secretAccessKey) return known;
    const credential = Object.freeze({ accessKeyId, secretAccessKey });
    credentials.set(accessKeyId, credential);
    return credential;
  }

  /** The same signature from another address is a copy of it. */
  function refuseReplay(signature: string, address: string): void {
    if (replays?.isCopy(signature, address)) throw refused('replayed');
  }

  /** In one of the forms that it may have been signed in; the first is that of nearly all. */
  async function isSigned(
    request: SignedRequest,
    names: readonly string[],
    sdkDate: string,
    credential: KeyPair,
    signature: string,
  ): Promise<boolean> {
    for (const payloadHash of PAYLOAD_HASHES) {
      for (const host of hostsOf(request, names, config.publicHost)) {
        const expected = await expectedSignature(
          request,
          names,
          host,
          payloadHash,
          sdkDate,
          credential,
          digests,
        );
        if (isEqualInConstantTime(expected, signature)) return true;
      }
    }
    return false;
  }

  return {
    async verify(request, clientAddress) {
      const [, accessKeyId = '', signedNames = '', signature = ''] =
        AUTHORIZATION.exec(request.headers.get('authorization') ?? '') ?? [];
      if (signature === '') throw refused('malformed');
      const names = signedNames.split(';');
      const sdkDate = request.headers.get('x-sdk-date') ?? '';
      if (!names.includes('x-sdk-date')) throw refused('date_not_signed');
      const dateMs = utcEpochMsOfDigits(SDK_DATE.exec(sdkDate)?.groups ?? {});
      if (dateMs === undefined || Math.abs(deps.now() - dateMs) > MAX_SKEW_MS) {
        throw refused('date_out_of_range', 'the X-Sdk-Date is more than 15 minutes from the clock here');
      }

      const key = await store.find(accessKeyId);
      const credential = key === undefined ? NO_KEY : credentialOf(accessKeyId, key.secretAccessKey);
      const isRight = await isSigned(request, names, sdkDate, credential, signature);
      if (key === undefined) throw refused('unknown_key');
      if (!isRight) throw refused('bad_signature');
      if (key.expiresAtMs !== undefined && deps.now() >= key.expiresAtMs) throw refused('expired_key');
      refuseReplay(signature, clientAddress);
      const scopes = key.scopes ?? [config.requiredScope];
      const caller = Object.freeze({
        issuer: SDK_KEYS_ISSUER,
        subject: key.subject,
        scopes,
        refusal: refusalOf(key.subject, scopes, {
          requiredScopes: [config.requiredScope],
          allowedSubjects: undefined,
        }),
        limitKey: `${SDK_KEYS_ISSUER} ${key.subject}`,
      });
      return {
        caller,
        admit() {
          refuseReplay(signature, clientAddress);
          replays?.remember(signature, clientAddress);
        },
      };
    },
  };
}

/** The hosts that may have been signed; one, of no importance, where none was. */
function hostsOf(request: SignedRequest, names: readonly string[], publicHost: string | undefined): string[] {
  const arrived = request.headers.get('host') ?? new URL(request.url).host;
  return names.includes('host') && publicHost !== undefined ? [arrived, publicHost] : [arrived];
}

/** What the key would have signed; empty where nobody could have signed such a request. */
async function expectedSignature(
  request: SignedRequest,
  names: readonly string[],
  host: string,
  payloadHash: string,
  sdkDate: string,
  credential: KeyPair,
  digests: Digests,
): Promise<string> {
  const { pathname, searchParams } = new URL(request.url);
  const headers: NameValuePair[] = [];
  for (const name of names) {
    const value = name === 'host' ? host : request.headers.get(name);
    if (value === null) return '';
    headers.push([name, value]);
  }
  try {
    const { canonicalHeaders, signedHeaders } = buildCanonicalHeaders(headers);
    const canonicalRequest = buildCanonicalRequest({
      method: request.method,
      canonicalUri: buildCanonicalUri(pathname),
      canonicalQueryString: buildCanonicalQueryString([...searchParams]),
      canonicalHeaders,
      signedHeaders,
      payloadHash: headers.find(([name]) => name === 'x-sdk-content-sha256')?.[1] ?? payloadHash,
    });
    const stringToSign = buildStringToSign(sdkDate, await digests.sha256(canonicalRequest));
    return await digests.hmacSha256(stringToSign, credential);
  } catch (error) {
    // A name twice, or a value that no signer takes.
    if (error instanceof TypeError) return '';
    throw error;
  }
}

/** Both are hexadecimal digits; the time tells at most that a length differs, which is no secret. */
function isEqualInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}

function refused(reason: string, detail = 'the signature is not valid here'): ProblemError {
  // RFC 9110, section 15.5.2: a 401 names a scheme.
  return new ProblemError('unauthenticated', { detail, headers: { 'www-authenticate': ALGORITHM }, reason });
}
