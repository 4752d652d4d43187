import { type CredentialProvider, CredentialUnavailableError } from '../credentials/provider.ts';
import { waitForKey } from '../fleet/key-proofs.ts';
import type { Credential } from '../signing/credential.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import type { AttemptContext, AttemptRecord } from './attempt.ts';
import type { Admission } from './guards/guards.ts';
import { throwIfTimedOut } from './timeout.ts';
import { wait } from './wait.ts';

/** Polling interval while other calls use the key: 5 ms, and 50 ms after the first 100 times. */
export const TURN_CHECK_MS = 5;
const QUICK_CHECKS = 100;
const SLOW_CHECK_MS = 50;

/** What a call is signed with. */
export interface Turn {
  readonly credential: Credential;
  /** To be signed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Waits until this call may use the key. The credential is asked for each time, since it may be replaced meanwhile. */
export async function waitForTurn(
  context: AttemptContext,
  record: AttemptRecord,
  admission: Admission,
  signal: AbortSignal,
): Promise<Turn> {
  const { guards, parts } = context;
  for (let checks = 0; ; checks += 1) {
    guards.assertOpen(parts.elapsed());
    const credential = await currentCredential(parts.credentials);
    record.credential = credential;
    const headers = await projectHeaders(context, credential);
    // A call that has timed out must not take a turn: nobody would give it back.
    throwIfTimedOut(signal);
    if (guards.enterKey(admission, credential, parts.elapsed())) {
      await askReplicas(context, credential, admission, signal);
      return { credential, headers };
    }
    // A timer of this call's own: on Workers one request must not wait for a promise of another.
    await wait(checks < QUICK_CHECKS ? TURN_CHECK_MS : SLOW_CHECK_MS, parts.schedule);
    throwIfTimedOut(signal);
  }
}

/**
 * Waits until replicas let this call use the key that it has entered.
 *
 * @throws UpstreamError `upstream_rejected` with reason `locked_out`
 */
async function askReplicas(
  { guards, keyLeaseMs, parts }: AttemptContext,
  credential: Credential,
  admission: Admission,
  signal: AbortSignal,
): Promise<void> {
  const { keyProofs, elapsed, schedule, random } = parts;
  const key = admission.keyPassage?.key;
  if (keyProofs === undefined || key === undefined) return;
  const use = await waitForKey(() => keyProofs.enter(credential, key, keyLeaseMs), {
    schedule,
    random,
    signal,
  });
  throwIfTimedOut(signal);
  if (typeof use === 'object') admission.keyUse = use;
  if (use !== 'locked_out') return;
  guards.noteRejectedElsewhere(admission, elapsed());
  throw new UpstreamError('upstream_rejected', { reason: 'locked_out' });
}

async function currentCredential(credentials: CredentialProvider): Promise<Credential> {
  try {
    return await credentials.get();
  } catch (error) {
    throw asNoCredential(error, 'credentials_unavailable');
  }
}

async function projectHeaders(
  { parts, projectId: configuredId }: AttemptContext,
  credential: Credential,
): Promise<Record<string, string>> {
  try {
    const projectId = (await parts.resolveProjectId?.(credential)) ?? configuredId;
    return projectId === undefined ? {} : { 'x-project-id': projectId };
  } catch (error) {
    throw asNoCredential(error, 'upstream_failed');
  }
}

/** @param kind a project id is what IAM fails to give: that is a fault upstream */
function asNoCredential(error: unknown, kind: 'credentials_unavailable' | 'upstream_failed'): unknown {
  if (!(error instanceof CredentialUnavailableError)) return error;
  // IAM, or the vendor to another replica, has rejected the key, which is left alone for a while.
  if (error.code === 'project_refused' || error.code === 'project_left_alone')
    return new UpstreamError('upstream_rejected', { reason: 'locked_out' });
  return new UpstreamError(kind, { reason: 'no_credential' });
}
