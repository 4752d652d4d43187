import * as z from 'zod';
import { describeError } from '../observability/describe-error.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { type Answer, fetchAnswer, runSourceWithin } from '../outbound/fetch-answer.ts';
import { CredentialSourceError } from '../outbound/source-error.ts';
import type { Platform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import { signRequest } from '../signing/sign-request.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';
import { CredentialUnavailableError } from './provider.ts';

/** For the whole of one look-up: 5 seconds. */
export const PROJECT_LOOKUP_TIMEOUT_MS = 5000;
/** After IAM has refused a key it is not asked again with it for 5 minutes: refusals in a row lock the key. */
export const REFUSED_PAUSE_MS = 300_000;
/** After it has answered none or several projects: 60 seconds. Somebody has to change something first. */
export const UNDECIDED_PAUSE_MS = 60_000;
/** Temporary credentials bring new access keys all the time; so many of the last ones are remembered. */
export const MAX_REMEMBERED_KEYS = 16;

const PROJECTS_PATH = '/v3/projects';
const MAX_LOGGED_IDS = 20;

const AnswerSchema = z.object({
  projects: z.array(z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) })),
});

export interface ProjectLookupOptions {
  /** Such as `cn-north-4`: the name of the project that every account has in that region. */
  readonly region: string;
  /** Scheme and host of IAM, no slash at the end. */
  readonly iamEndpoint: string;
}

export interface ProjectIdSource {
  /**
   * The project id to send with calls that this credential signs: at once when it is known.
   *
   * @throws CredentialUnavailableError (rejects with it) while there is none
   */
  get(credential: Credential): string | Promise<string>;
}

type FailureCode = 'project_none' | 'project_several' | 'project_refused' | 'project_lookup_failed';

interface KnownKey {
  projectId?: string;
  failures: number;
  pauseUntilMs: number;
  code: FailureCode;
}

/**
 * Finds the project id with a signed `GET /v3/projects?name=<region>`, as the vendor's SDKs do
 * (core/auth/basic_credentials.go of huaweicloud-sdk-go-v3): exactly one project wins; none or several is an
 * error that is logged with the ids and asks for an explicit one. A project is never created.
 *
 * An id is kept for the life of the process for each access key id. A failed look-up is repeated after a pause.
 * While IAM does not answer at all, a new key goes on with the id of the one before: temporary credentials are
 * replaced several times a day, and IAM's outage is not ours.
 */
export function createProjectIdSource(
  { region, iamEndpoint }: ProjectLookupOptions,
  deps: Pick<
    Platform,
    'fetch' | 'now' | 'schedule' | 'random' | 'createSingleFlight' | 'waitUntil' | 'logger'
  >,
): ProjectIdSource {
  const flights = deps.createSingleFlight();
  const keys = new Map<string, KnownKey>();
  let lastProjectId: string | undefined;

  function keyOf(accessKeyId: string): KnownKey {
    const known = keys.get(accessKeyId);
    if (known !== undefined) return known;
    const key: KnownKey = {
      failures: 0,
      pauseUntilMs: Number.NEGATIVE_INFINITY,
      code: 'project_lookup_failed',
    };
    keys.set(accessKeyId, key);
    for (const oldest of keys.keys()) {
      if (keys.size <= MAX_REMEMBERED_KEYS) break;
      keys.delete(oldest);
    }
    return key;
  }

  /** Asks IAM and remembers what came of it. Never rejects. */
  async function lookUp(key: KnownKey, credential: Credential): Promise<void> {
    let isRefused = false;
    const noteRefusal = () => {
      isRefused = true;
    };
    try {
      const answer = await runSourceWithin(PROJECT_LOOKUP_TIMEOUT_MS, deps.schedule, (signal) =>
        askIam(credential, signal, noteRefusal),
      );
      if (answer.status === 200) decide(key, readProjectIds(answer.text));
      else refuse(key, answer);
    } catch (error) {
      // A refusal of our clock counts for the vendor too: the calls that would follow could be refused as well.
      if (isRefused) fail(key, 'project_refused', REFUSED_PAUSE_MS);
      else fail(key, 'project_lookup_failed', backoff(key));
      deps.logger.warn({ region, error: describeError(error) }, 'the project id could not be looked up');
    }
  }

  async function askIam(
    credential: Credential,
    signal: AbortSignal,
    noteRefusal: () => void,
  ): Promise<Answer> {
    const url = new URL(`${iamEndpoint}${PROJECTS_PATH}`);
    url.searchParams.set('name', region);
    const ask = async (nowMs: number) => {
      const signed = await signRequest({ method: 'GET', url }, credential, { nowMs });
      const headers = { ...signed.headers, accept: 'application/json' };
      return fetchAnswer(deps.fetch, url.href, { method: 'GET', headers, signal });
    };
    const answer = await ask(deps.now());
    if (answer.status !== 401) return answer;
    noteRefusal();
    const { serverDateMs } = parseUpstreamFailure(answer.status, answer.headers, answer.text, deps.now());
    // Only our clock was refused, and now we know the right time.
    return serverDateMs === undefined ? answer : ask(serverDateMs);
  }

  function decide(key: KnownKey, projectIds: readonly string[]): void {
    const [projectId] = projectIds;
    if (projectId !== undefined && projectIds.length === 1) {
      key.projectId = projectId;
      key.failures = 0;
      lastProjectId = projectId;
      deps.logger.info({ region, projectId }, 'project id found');
      return;
    }
    fail(key, projectId === undefined ? 'project_none' : 'project_several', UNDECIDED_PAUSE_MS);
    deps.logger.error(
      { region, projects: projectIds.length, projectIds: projectIds.slice(0, MAX_LOGGED_IDS) },
      projectId === undefined
        ? 'IAM knows no project of this region: set HUAWEICLOUD_SDK_PROJECT_ID to the one to use'
        : 'IAM knows several projects of this region: set HUAWEICLOUD_SDK_PROJECT_ID to one of them',
    );
  }

  function refuse(key: KnownKey, { status, headers, text }: Answer): void {
    const { kind, reason, vendorCode, vendorRequestId } = parseUpstreamFailure(
      status,
      headers,
      text,
      deps.now(),
    );
    if (kind === 'upstream_rejected') fail(key, 'project_refused', REFUSED_PAUSE_MS);
    else fail(key, 'project_lookup_failed', backoff(key));
    deps.logger.warn(
      { region, status, reason, vendorCode, vendorRequestId },
      'the project id could not be looked up',
    );
  }

  function fail(key: KnownKey, code: FailureCode, pauseMs: number): void {
    key.failures += 1;
    key.code = code;
    key.pauseUntilMs = deps.now() + pauseMs;
  }

  const backoff = (key: KnownKey): number => pauseAfterFailures(key.failures + 1, deps.random());

  async function find(key: KnownKey, credential: Credential): Promise<string> {
    if (deps.now() >= key.pauseUntilMs) {
      const { promise, joined } = flights.run(credential.accessKeyId, () => lookUp(key, credential));
      if (!joined) deps.waitUntil(promise);
      await promise;
    }
    const projectId = key.code === 'project_lookup_failed' ? (key.projectId ?? lastProjectId) : key.projectId;
    if (projectId === undefined) throw new CredentialUnavailableError(key.code);
    return projectId;
  }

  return {
    get(credential) {
      const key = keyOf(credential.accessKeyId);
      return key.projectId ?? find(key, credential);
    },
  };
}

function readProjectIds(text: string): string[] {
  try {
    return AnswerSchema.parse(JSON.parse(text)).projects.map(({ id }) => id);
  } catch {
    throw new CredentialSourceError('not_the_model');
  }
}
