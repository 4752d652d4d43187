import { type Answer, jsonAnswer } from './answers.ts';
import { formatExpiry, type TemporaryCredentials } from './temporary-credentials.ts';
import { type HeaderPair, headerValue } from './verify-signature.ts';

export const ASSUME_PATH = '/v5/agencies/assume';
export const ASSUME_WITH_OIDC_PATH = '/v5/agencies/assume-with-oidc';

export interface SecurityTokenServiceOptions {
  /** The only provider and agency for tokens, and the tokens that are valid now. */
  providerUrn: string;
  oidcAgencyUrn: string;
  idTokens: readonly string[];
  /** The only agency for those who have a key. */
  agencyUrn: string;
  /** Added to the `expiration` that it states, and to nothing else. */
  expiryErrorMs: number;
  /** `snake`: access_key_id. `camel`: accessKeyId. `short`: access. The vendor's services use all three. */
  spelling: 'snake' | 'camel' | 'short';
}

export const DEFAULT_STS_OPTIONS: Readonly<SecurityTokenServiceOptions> = Object.freeze({
  providerUrn: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
  oidcAgencyUrn: 'iam::0000000000000000000000000000d001:agency:imagecaches',
  idTokens: Object.freeze(['simulator-oidc-token']),
  agencyUrn: 'iam::0000000000000000000000000000d002:agency:readers',
  expiryErrorMs: 0,
  spelling: 'snake',
});

const LEAST_SECONDS = 900;
const MOST_SECONDS = 43_200;
/** Of credentials that are got with temporary ones. */
const MOST_CHAINED_SECONDS = 3600;

/** What is wrong with a member of the body, or undefined. */
type Check = (value: unknown) => string | undefined;

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const sessionName: Check = (value) =>
  isText(value) && /^[\w+=,.@-]{2,64}$/.test(value) ? undefined : 'invalid';
const duration =
  (most: number): Check =>
  (value) =>
    Number.isInteger(value) && Number(value) >= LEAST_SECONDS && Number(value) <= most
      ? undefined
      : 'invalid';
const optionalText: Check = (value) => (value === undefined || isText(value) ? undefined : 'invalid');
const optionalTexts: Check = (value) =>
  value === undefined || (Array.isArray(value) && value.length > 0 && value.every(isText))
    ? undefined
    : 'invalid';

/** STS: gives credentials of agencies. Its requests are judged member by member; unknown members are refused. */
export class SecurityTokenService {
  options: SecurityTokenServiceOptions = { ...DEFAULT_STS_OPTIONS };
  private readonly credentials: TemporaryCredentials;

  constructor(credentials: TemporaryCredentials) {
    this.credentials = credentials;
  }

  /** `POST /v5/agencies/assume-with-oidc`, which must not be signed. */
  answerAssumeWithOidc(headers: readonly HeaderPair[], body: Buffer, nowMs: number): Answer {
    for (const name of ['authorization', 'x-sdk-date', 'x-auth-token', 'x-security-token', 'x-project-id'])
      if (headerValue(headers, name) !== undefined) return badRequest(`header ${name}`);
    const { providerUrn, oidcAgencyUrn, idTokens } = this.options;
    const read = readBody(headers, body, {
      provider_urn: (value) => (isText(value) ? undefined : 'invalid'),
      agency_urn: (value) => (isText(value) ? undefined : 'invalid'),
      agency_session_name: sessionName,
      id_token: (value) => (isText(value) ? undefined : 'invalid'),
      duration_seconds: duration(MOST_SECONDS),
      policy: optionalText,
      policy_ids: optionalTexts,
    });
    if ('fault' in read) return badRequest(read.fault);
    const { members } = read;
    if (members.provider_urn !== providerUrn) return stsError(404, 'STS.0404', 'provider not found');
    if (members.agency_urn !== oidcAgencyUrn)
      return stsError(403, 'PAP5.0013', `agency ${members.agency_urn} does not trust the provider`);
    if (!idTokens.includes(String(members.id_token)))
      return stsError(401, 'STS.0401', `invalid id token ${members.id_token}`);
    return this.issue(
      oidcAgencyUrn,
      String(members.agency_session_name),
      Number(members.duration_seconds),
      nowMs,
    );
  }

  /** `POST /v5/agencies/assume`, whose signature has been verified. */
  answerAssume(headers: readonly HeaderPair[], body: Buffer, nowMs: number): Answer {
    const { agencyUrn } = this.options;
    const read = readBody(headers, body, {
      agency_urn: (value) => (isText(value) ? undefined : 'invalid'),
      agency_session_name: sessionName,
      duration_seconds: duration(MOST_CHAINED_SECONDS),
    });
    if ('fault' in read) return badRequest(read.fault);
    const { members } = read;
    if (members.agency_urn !== agencyUrn) return stsError(403, 'PAP5.0013', 'not permitted to assume it');
    return this.issue(
      agencyUrn,
      String(members.agency_session_name),
      Number(members.duration_seconds),
      nowMs,
    );
  }

  private issue(urn: string, session: string, lifetimeSeconds: number, nowMs: number): Answer {
    const { expiryErrorMs, spelling } = this.options;
    const key = this.credentials.issue(nowMs, lifetimeSeconds);
    const expiration = formatExpiry(key.expiresAtMs + expiryErrorMs, 6);
    const { accessKeyId, secretAccessKey, securityToken } = key;
    const credentials = {
      snake: {
        access_key_id: accessKeyId,
        secret_access_key: secretAccessKey,
        security_token: securityToken,
        expiration,
      },
      camel: { accessKeyId, secretAccessKey, securityToken, expiration },
      short: {
        access: accessKeyId,
        secret: secretAccessKey,
        securitytoken: securityToken,
        expires_at: expiration,
      },
    }[spelling];
    return jsonAnswer(200, { assumed_agency: { urn: `${urn}/${session}`, id: 'simulated' }, credentials });
  }
}

type Read = { readonly fault: string } | { readonly members: Readonly<Record<string, unknown>> };

function readBody(headers: readonly HeaderPair[], body: Buffer, checks: Record<string, Check>): Read {
  if (!/^application\/json(;|$)/i.test(headerValue(headers, 'content-type') ?? ''))
    return { fault: 'content-type' };
  let members: Record<string, unknown>;
  try {
    members = JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    return { fault: 'body' };
  }
  if (typeof members !== 'object' || members === null || Array.isArray(members)) return { fault: 'body' };
  for (const name of Object.keys(members)) if (!Object.hasOwn(checks, name)) return { fault: name };
  for (const [name, check] of Object.entries(checks))
    if (check(members[name]) !== undefined) return { fault: name };
  return { members };
}

function badRequest(what: string): Answer {
  return stsError(400, 'STS.0400', `Invalid parameter: ${what}`);
}

function stsError(status: number, code: string, text: string): Answer {
  return jsonAnswer(status, { error_code: code, error_msg: text, request_id: 'simulated-sts-request' });
}
