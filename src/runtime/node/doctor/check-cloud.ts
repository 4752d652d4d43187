import type { Config } from '../../../config/config.ts';
import { createProjectIdSource } from '../../../credentials/project-id.ts';
import { CredentialUnavailableError } from '../../../credentials/provider.ts';
import { CREDENTIAL_SOURCES, createCredentialProvider } from '../../../credentials/sources.ts';
import { parseImageCaches } from '../../../imagecaches/parse.ts';
import { sanitiseImageCaches } from '../../../imagecaches/sanitise.ts';
import { readBody } from '../../../outbound/read-body.ts';
import type { FetchedResponse } from '../../../platform/fetch.ts';
import type { Platform } from '../../../platform/platform.ts';
import { authoriseRequest } from '../../../signing/authorise-request.ts';
import type { Credential } from '../../../signing/credential.ts';
import { parseHttpDate } from '../../../time/http-date.ts';
import { MAX_BODY_BYTES, MAX_ERROR_BODY_BYTES } from '../../../upstream/exchange.ts';
import { parseUpstreamFailure } from '../../../vendor/read-failure.ts';
import { REJECTION_CAUSES, type Rejection, rejectionOf } from '../../../vendor/rejection.ts';
import { UpstreamError } from '../../../vendor/upstream-error.ts';
import { nothingElseIsSet } from '../credential-choice.ts';
import { codeOf, STEP_TIMEOUT_MS, within } from './check-network.ts';
import { failed, type Outcome, ok, skipped, warning } from './findings.ts';

/** Signatures are corrected by the vendor's clock, but tokens are judged by this one, with 30 s of tolerance. */
const WARN_SKEW_MS = 30_000;
const PATH = '/v5/imagecaches';

export interface GatewayReport {
  readonly gateway: Outcome;
  readonly clock: Outcome;
  /** The vendor's clock minus ours; what the call is signed with. */
  readonly skewMs: number;
}

/** One call without a signature, which counts against no key: is this the vendor, and what time is it there? */
export async function askGateway(
  { target: { upstream } }: Config,
  deps: Pick<Platform, 'fetch' | 'now'>,
): Promise<GatewayReport> {
  const unknown = skipped('the gateway said no time');
  try {
    const response = await within(
      deps.fetch(upstream.endpoint + PATH, {
        redirect: 'manual',
        signal: AbortSignal.timeout(STEP_TIMEOUT_MS),
      }),
    );
    const text = await bodyOf(response);
    const dateMs = parseHttpDate(response.headers.get('date') ?? '');
    const failure = parseUpstreamFailure(response.status, response.headers, text, deps.now());
    const isVendor = response.status === 401 || failure.vendorCode !== undefined;
    if (!isVendor)
      return {
        gateway: failed(
          `something else than the vendor's gateway answers (status ${response.status}${isHtml(response) ? ', a page' : ''})`,
          'A proxy, a captive portal or another service is in the way, or CCE_ENDPOINT is wrong.',
        ),
        clock: unknown,
        skewMs: 0,
      };
    const gateway = ok(
      `the vendor's gateway answers${failure.vendorCode === undefined ? '' : ` (${failure.vendorCode})`}`,
    );
    if (dateMs === undefined) return { gateway, clock: unknown, skewMs: 0 };
    const skewMs = dateMs - deps.now();
    return { gateway, clock: judgeClock(skewMs), skewMs };
  } catch (error) {
    return {
      gateway: failed(
        `no answer (${codeOf(error)})`,
        'The connection was made, but nothing came over it: a firewall or a proxy may hold it.',
      ),
      clock: unknown,
      skewMs: 0,
    };
  }
}

function judgeClock(skewMs: number): Outcome {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  if (Math.abs(skewMs) <= WARN_SKEW_MS) return ok(`this clock and the gateway's agree to ${seconds} s`);
  return warning(
    `this clock is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the gateway's`,
    'Fix the time service of this machine. Signatures are corrected by the gateway’s clock; tokens are judged by this one.',
  );
}

export interface CredentialReport {
  readonly outcome: Outcome;
  readonly credential: Credential | undefined;
}

/** The credential of the configured source and its expiry, with the last four characters of the access key id. */
export async function getCredential(config: Config, deps: Platform): Promise<CredentialReport> {
  const { credentials, assumeAgency } = config.target;
  const source = CREDENTIAL_SOURCES[credentials.source];
  const name =
    assumeAgency === undefined
      ? source.name
      : `the agency of HUAWEICLOUD_ASSUME_AGENCY_URN (by ${source.name})`;
  const remedy =
    assumeAgency === undefined
      ? source.remedy
      : `Check that the agency trusts the account of the source, and that the source may assume it (sts:agencies:assume). ${source.remedy}`;
  try {
    const credential = await within(
      Promise.resolve(
        createCredentialProvider(
          credentials,
          { ...deps, metrics: deps.metrics.forTarget(undefined) },
          { assumeAgency },
        ).get(),
      ),
      2 * STEP_TIMEOUT_MS,
    );
    const { expiresAtMs } = credential;
    const until =
      expiresAtMs === undefined
        ? credential.authToken === undefined
          ? 'does not expire'
          : 'expiry unknown'
        : `until ${new Date(expiresAtMs).toISOString()}`;
    const { accessKeyId } = credential;
    // Of a token nothing is shown.
    const key = accessKeyId === undefined ? '' : `access key id …${accessKeyId.slice(-4)}, `;
    return { outcome: ok(`${name}, ${key}${until}`), credential };
  } catch (error) {
    const nothingElse = nothingElseIsSet(credentials);
    const also = nothingElse === undefined ? '' : `, and ${nothingElse}`;
    const code = codeOf(causeOf(error));
    const cause = SOURCE_CAUSES[code];
    return {
      outcome: failed(
        `${name} gives no credential (${cause === undefined ? code : `${code}: ${cause}`})${also}`,
        remedy,
      ),
      credential: undefined,
    };
  }
}

/** Why the source gave none, where the error says no more than that it gave none. */
function causeOf(error: unknown): unknown {
  return error instanceof CredentialUnavailableError && error.cause !== undefined
    ? causeOf(error.cause)
    : error;
}

/** What the codes of OutboundError mean. */
const SOURCE_CAUSES: Readonly<Record<string, string>> = {
  token_file_unreadable: 'the file with the token cannot be read',
  token_file_invalid: 'the file with the token is empty, or holds something else',
  timeout: 'no answer in time',
  status_400: 'it takes a member of the request for wrong',
  status_401: 'it does not accept the token or the key',
  status_403: 'it does not permit it',
  status_404: 'it does not know what was asked for',
  not_the_model: 'the answer holds no credential',
  key_rejected: 'it has rejected the key of the source',
  expired: 'what came has expired already, or this clock is wrong',
};

export interface ProjectReport {
  readonly outcome: Outcome;
  readonly projectId: string | undefined;
}

/** Which project id is sent with calls. Only with `auto` IAM is asked, by one signed call. */
export async function findProject(
  config: Config,
  credential: Credential,
  deps: Platform,
): Promise<ProjectReport> {
  const { projectLookup, upstream } = config.target;
  if (projectLookup === undefined)
    return {
      outcome: ok(
        upstream.projectId === undefined ? 'none is sent: the key decides' : 'the configured one is sent',
      ),
      projectId: upstream.projectId,
    };
  try {
    const projectId = await within(
      Promise.resolve(createProjectIdSource(projectLookup, deps).get(credential)),
      2 * STEP_TIMEOUT_MS,
    );
    return { outcome: ok(`found for ${projectLookup.region}`), projectId };
  } catch (error) {
    const code = error instanceof CredentialUnavailableError ? error.code : codeOf(error);
    return {
      outcome: failed(
        `it could not be looked up in IAM (${code})`,
        PROJECT_REMEDIES[code] ?? OTHER_PROJECT_REMEDY,
      ),
      projectId: undefined,
    };
  }
}

const OTHER_PROJECT_REMEDY =
  'Check that IAM can be reached, or set HUAWEICLOUD_SDK_PROJECT_ID to the id that the console shows under My Credentials.';
const PROJECT_REMEDIES: Readonly<Record<string, string>> = {
  project_none:
    'The account has no project in this region: check CCE_REGION, or enable the region in the console.',
  project_several:
    'The region has several projects: set HUAWEICLOUD_SDK_PROJECT_ID to the one that is meant.',
  project_refused: 'IAM refused the key: see whether it is the right one, enabled, and of this account.',
};

export interface CallReport {
  readonly signature: Outcome;
  readonly permission: Outcome;
}

/** The one signed call to CCE: no more, since the vendor locks a key that is refused again and again. */
export async function callCce(
  { target: { upstream } }: Config,
  credential: Credential,
  projectId: string | undefined,
  skewMs: number,
  deps: Pick<Platform, 'fetch' | 'now'>,
): Promise<CallReport> {
  const notKnown = skipped('the call did not get that far');
  try {
    const url = new URL(upstream.endpoint + PATH);
    const headers = projectId === undefined ? {} : { 'x-project-id': projectId };
    const authorised = await authoriseRequest({ method: 'GET', url, headers }, credential, {
      nowMs: deps.now() + skewMs,
    });
    const response = await within(
      deps.fetch(url.href, {
        headers: { ...authorised, accept: 'application/json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(STEP_TIMEOUT_MS),
      }),
    );
    if (response.status === 200) {
      const { imageCaches, dropped } = sanitiseImageCaches(
        parseImageCaches(await readBody(response, MAX_BODY_BYTES)),
      );
      if (imageCaches.length === 0 && dropped.length > 0)
        throw new UpstreamError('upstream_failed', { reason: 'not_the_model' });
      const detail = `cce:imageCache:list is granted: ${imageCaches.length} image caches`;
      return {
        signature: ok('accepted'),
        permission:
          dropped.length === 0
            ? ok(detail)
            : warning(
                `${detail}, and ${dropped.length} that break the model and are left out`,
                'Report it: the vendor may have changed its model.',
              ),
      };
    }
    const text = await bodyOf(response);
    const nowMs = deps.now() + skewMs;
    return judgeFailure(parseUpstreamFailure(response.status, response.headers, text, nowMs), credential);
  } catch (error) {
    const what = error instanceof UpstreamError ? error.reason : codeOf(error);
    return {
      signature: failed(
        `no usable answer to the signed call (${what})`,
        'Run it again; if it stays, something between here and the vendor changes requests or answers.',
      ),
      permission: notKnown,
    };
  }
}

const REFUSED_ONCE =
  'This was one refusal; the vendor locks a key after more than five in a row, so fix it before the next try.';

const REMEDIES: Readonly<Record<Rejection, string>> = {
  unknown_key: 'The key was deleted, or belongs to another partition of the cloud than this region.',
  locked_key: 'It was refused too often. Wait five minutes, with no service running that uses it.',
  clock: 'Correct the clock of this machine, and look whether a proxy holds requests back.',
  signature:
    'HUAWEICLOUD_SDK_SK does not belong to the access key, the security token is another one’s, or a proxy changes the request.',
  token: 'It has expired or was withdrawn: put a new one into CCE_AUTH_TOKEN_FILE. Tokens live for 24 hours.',
  permission:
    'Grant cce:imageCache:list to its user or agency, and check that the project belongs to its account and region.',
};

function judgeFailure(failure: UpstreamError, credential: Credential): CallReport {
  const { status, vendorCode, reason } = failure;
  const rejection = failure.rejection && rejectionOf(failure.rejection, credential.authToken === undefined);
  const where = `status ${status}${vendorCode === undefined ? '' : `, ${vendorCode}`}`;
  if (rejection === undefined)
    return {
      signature: skipped(`the vendor answers otherwise (${where})`),
      permission: failed(
        `no list (${where})`,
        reason === 'throttled'
          ? 'The account is throttled: try again later.'
          : 'The vendor has a fault, or CCE_ENDPOINT is not that of CCE. Try again later.',
      ),
    };
  const finding = `${REJECTION_CAUSES[rejection]} (${where})`;
  if (rejection === 'permission')
    return { signature: ok('accepted'), permission: failed(finding, REMEDIES.permission) };
  return {
    signature: failed(finding, `${REMEDIES[rejection]} ${REFUSED_ONCE}`),
    permission: skipped('the call did not get that far'),
  };
}

async function bodyOf(response: FetchedResponse): Promise<string> {
  try {
    return new TextDecoder().decode(await readBody(response, MAX_ERROR_BODY_BYTES));
  } catch {
    return '';
  }
}

function isHtml(response: FetchedResponse): boolean {
  return /html/.test(response.headers.get('content-type') ?? '');
}
