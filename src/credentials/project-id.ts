import * as z from 'zod/mini';
import { describeError } from '../observability/describe-error.ts';
import type { Logger } from '../observability/logger.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { createLastGood, type LastGood } from '../outbound/last-good.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';
import { type Credential, keyIdOf } from '../signing/credential.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';
import { REJECTION_CAUSES, rejectionOf } from '../vendor/rejection.ts';
import { askSigned, REJECTED_PAUSE_MS, type SignedCallPlatform } from './ask-signed.ts';
import { CredentialUnavailableError } from './provider.ts';

/** For the whole of one look-up: 5 seconds. */
export const PROJECT_LOOKUP_TIMEOUT_MS = 5000;
/** While other replicas leave the key alone, they are asked again after 5 seconds. */
const LEFT_ALONE_PAUSE_MS = 5000;
/** After it has answered none or several projects: 60 seconds. Somebody has to change something first. */
export const UNDECIDED_PAUSE_MS = 60_000;
/** Temporary credentials bring new access keys all the time: the last 16 are remembered. */
export const MAX_REMEMBERED_KEYS = 16;

/** How long IAM is left alone after these; after `project_lookup_failed` the pause doubles with each failure. */
const PAUSES_MS: Readonly<Record<string, number>> = {
  project_none: UNDECIDED_PAUSE_MS,
  project_several: UNDECIDED_PAUSE_MS,
  project_refused: REJECTED_PAUSE_MS,
  project_left_alone: LEFT_ALONE_PAUSE_MS,
};

const PROJECTS_PATH = '/v3/projects';
const MAX_LOGGED_IDS = 20;
const FAILED_MESSAGE = 'the project id could not be looked up';

const AnswerSchema = z.object({
  projects: z.array(z.object({ id: z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}$/)) })),
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

/** A key that asks, and the project id found for it. */
interface AskingKey {
  /** The newest credential with this access key id: its secret or token may have been replaced. */
  credential: Credential;
  code: string;
  readonly projectId: LastGood<string>;
}

type LookupPlatform = SignedCallPlatform & Pick<Platform, 'elapsed' | 'logger'>;

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
  options: ProjectLookupOptions,
  platform: LookupPlatform & Pick<Platform, 'createSingleFlight' | 'waitUntil'>,
): ProjectIdSource {
  const { region } = options;
  const keys = new Map<string, AskingKey>();
  let lastProjectId: string | undefined;

  function keyOf(credential: Credential): AskingKey {
    const id = keyIdOf(credential);
    const known = keys.get(id);
    if (known !== undefined) {
      known.credential = credential;
      return known;
    }
    const key: AskingKey = {
      credential,
      code: 'project_lookup_failed',
      projectId: createLastGood<string>(
        {
          load: () => lookUp(options, key.credential, platform),
          pauseMs: (failures, error) =>
            PAUSES_MS[codeOf(error)] ?? pauseAfterFailures(failures, platform.random()),
          onLoaded(projectId) {
            lastProjectId = projectId;
            platform.logger.info({ region, projectId }, 'project id found');
          },
          onFailed(error) {
            key.code = codeOf(error);
          },
        },
        platform,
      ),
    };
    keys.set(id, key);
    for (const oldest of keys.keys()) {
      if (keys.size <= MAX_REMEMBERED_KEYS) break;
      keys.delete(oldest);
    }
    return key;
  }

  function orFallback(projectId: string | undefined, { code }: AskingKey): string {
    const usable = projectId ?? (code === 'project_lookup_failed' ? lastProjectId : undefined);
    if (usable === undefined) throw new CredentialUnavailableError(code);
    return usable;
  }

  return {
    get(credential) {
      const key = keyOf(credential);
      const projectId = key.projectId.get();
      return typeof projectId === 'string' ? projectId : projectId.then((found) => orFallback(found, key));
    },
  };
}

/**
 * Asks IAM once.
 *
 * @throws CredentialUnavailableError when there is no project id to use; why is in the log already
 */
async function lookUp(
  { region, iamEndpoint }: ProjectLookupOptions,
  credential: Credential,
  platform: LookupPlatform,
): Promise<string> {
  const { logger } = platform;
  const url = new URL(`${iamEndpoint}${PROJECTS_PATH}`);
  url.searchParams.set('name', region);
  let isRejected = false;
  const noteRejection = () => {
    isRejected = true;
  };
  try {
    const answer = await runWithin(PROJECT_LOOKUP_TIMEOUT_MS, platform.schedule, (signal) =>
      askSigned({ method: 'GET', url }, credential, signal, noteRejection, platform),
    );
    if (answer.status === 200) return onlyOneOf(readProjectIds(answer.text), region, logger);
    const { status, headers, text } = answer;
    const failure = parseUpstreamFailure(status, headers, text, platform.now());
    const { kind, reason, rejection, vendorCode, vendorRequestId } = failure;
    const cause = rejection && REJECTION_CAUSES[rejectionOf(rejection, credential.authToken === undefined)];
    logger.warn({ region, status, reason, cause, vendorCode, vendorRequestId }, FAILED_MESSAGE);
    throw new CredentialUnavailableError(
      kind === 'upstream_rejected' ? 'project_refused' : 'project_lookup_failed',
    );
  } catch (error) {
    if (error instanceof CredentialUnavailableError) throw error;
    if (error instanceof OutboundError && error.code === 'key_left_alone')
      throw new CredentialUnavailableError('project_left_alone');
    logger.warn({ region, error: describeError(error) }, FAILED_MESSAGE);
    // A rejection of our clock counts for the vendor too: the calls that would follow could be rejected as well.
    throw new CredentialUnavailableError(isRejected ? 'project_refused' : 'project_lookup_failed');
  }
}

function onlyOneOf(projectIds: readonly string[], region: string, logger: Logger): string {
  const [projectId] = projectIds;
  if (projectId !== undefined && projectIds.length === 1) return projectId;
  logger.error(
    { region, projects: projectIds.length, projectIds: projectIds.slice(0, MAX_LOGGED_IDS) },
    projectId === undefined
      ? 'IAM knows no project of this region: set HUAWEICLOUD_SDK_PROJECT_ID to the one to use'
      : 'IAM knows several projects of this region: set HUAWEICLOUD_SDK_PROJECT_ID to one of them',
  );
  throw new CredentialUnavailableError(projectId === undefined ? 'project_none' : 'project_several');
}

function codeOf(error: unknown): string {
  return error instanceof CredentialUnavailableError ? error.code : 'project_lookup_failed';
}

function readProjectIds(text: string): string[] {
  try {
    return AnswerSchema.parse(JSON.parse(text)).projects.map(({ id }) => id);
  } catch {
    throw new OutboundError('not_the_model');
  }
}
