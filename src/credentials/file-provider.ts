import { describeError } from '../observability/describe-error.ts';
import { runSourceWithin } from '../outbound/fetch-answer.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import { type CredentialProvider, freezeCredential, isSameCredential } from './provider.ts';

/** The files are read again when a credential is asked for and the last reading is older: 1 second. */
export const CHECK_INTERVAL_MS = 1000;
/** A change of only some of the files comes into use once it was seen unchanged for this long: 2 seconds. */
export const SETTLE_MS = 2000;
/** A reading that takes longer, as on a mount that hangs, is given up: 1 second. */
export const READ_TIMEOUT_MS = 1000;
/** Readings in a row until two agree; after that the next check tries again. */
export const MAX_READINGS = 4;

const MEMBERS = ['accessKeyId', 'secretAccessKey', 'securityToken'] as const;

/** The file of each member that is in one, named by `HUAWEICLOUD_SDK_AK_FILE` and the like. */
export type CredentialFiles = Readonly<Partial<Record<(typeof MEMBERS)[number], string | undefined>>>;

/** Why the files give no credential. A fixed word of ours, for the log. */
type Trouble = 'unreadable' | 'not_a_credential' | 'changing';

/**
 * A credential whose members are in files, which may be replaced at any time. The files are read when a
 * credential is asked for, at most once a second, and compared by content. That needs no watcher to close, and
 * works where there are no change events or only misleading ones: symbolic links that Kubernetes swaps, network
 * and FUSE mounts, time stamps that stay the same. A reading takes far less than the call that is then signed.
 *
 * The members are one unit. A reading counts when the next one agrees, so none of it is from before a swap and
 * none from after. Keys are issued in pairs, so when only some of the files have changed, the others are
 * expected to follow, as with two mounts: the old credential is used for up to 2 seconds more, unless the vendor
 * has refused it. Files that are gone, empty or bad leave the last good credential in use.
 *
 * @param initial what the files and the other settings held at the start
 * @throws TypeError when it cannot be used, see checkCredential
 */
export function createFileProvider(
  initial: Credential,
  files: CredentialFiles,
  deps: Pick<
    TargetPlatform,
    'readTextFile' | 'now' | 'schedule' | 'createSingleFlight' | 'logger' | 'metrics'
  >,
): CredentialProvider {
  const flights = deps.createSingleFlight();
  const members = MEMBERS.filter((member) => files[member] !== undefined);
  let held = freezeCredential(initial);
  let checkFromMs = Number.NEGATIVE_INFINITY;
  /** Some files have changed, the others perhaps not yet. */
  let unsettled: { readonly credential: Credential; readonly sinceMs: number } | undefined;
  let trouble: Trouble | undefined;
  deps.metrics.credentialLoaded(undefined);

  async function readFiles(): Promise<Credential> {
    const texts = await Promise.all(members.map((member) => deps.readTextFile(files[member] as string)));
    const read = Object.fromEntries(members.map((member, index) => [member, texts[index]?.trim()]));
    const credential: Credential = { ...held, ...read };
    // An empty file of a token says that there is none.
    return credential.securityToken === '' ? { ...credential, securityToken: undefined } : credential;
  }

  /** Reads until two readings in a row agree; undefined when they never do. */
  async function readStable(): Promise<Credential | undefined> {
    let last = await readFiles();
    for (let count = 1; count < MAX_READINGS; count += 1) {
      if (isSameCredential(last, held)) return last;
      const next = await readFiles();
      if (isSameCredential(next, last)) return next;
      last = next;
    }
    return undefined;
  }

  /** Brings a change of the files into use. Never rejects. */
  async function check(isUrgent: boolean): Promise<void> {
    let credential: Credential | undefined;
    try {
      credential = await runSourceWithin(READ_TIMEOUT_MS, deps.schedule, readStable);
    } catch (error) {
      report('unreadable', error);
      return;
    }
    if (credential === undefined) {
      report('changing');
      return;
    }
    try {
      credential = freezeCredential(credential);
    } catch {
      report('not_a_credential');
      return;
    }
    report(undefined);
    if (isSameCredential(credential, held)) unsettled = undefined;
    else if (isUrgent || isWhollyNew(credential) || hasSettled(credential)) take(credential);
  }

  const isWhollyNew = (credential: Credential): boolean =>
    members.every((member) => credential[member] !== held[member]);

  function hasSettled(credential: Credential): boolean {
    const nowMs = deps.now();
    if (unsettled === undefined || !isSameCredential(unsettled.credential, credential))
      unsettled = { credential, sinceMs: nowMs };
    return nowMs - unsettled.sinceMs >= SETTLE_MS;
  }

  function take(credential: Credential): void {
    held = credential;
    unsettled = undefined;
    deps.metrics.credentialLoaded(undefined);
    deps.logger.info({ source: 'files' }, 'credential replaced');
  }

  /** Says once that something is wrong with the files, and once that it no longer is. */
  function report(found: Trouble | undefined, error?: unknown): void {
    if (found === trouble) return;
    trouble = found;
    if (found === undefined) deps.logger.info({ source: 'files' }, 'the credential files are good again');
    else {
      deps.logger.warn(
        { source: 'files', reason: found, error: error === undefined ? undefined : describeError(error) },
        'the credential files are not usable: the last good credential stays in use',
      );
    }
  }

  return {
    get() {
      if (deps.now() < checkFromMs) return held;
      checkFromMs = deps.now() + CHECK_INTERVAL_MS;
      return flights.run('check', () => check(false)).promise.then(() => held);
    },
    async reload(refused) {
      if (!isSameCredential(held, refused)) return true;
      await flights.run('reload', () => check(true)).promise;
      return !isSameCredential(held, refused);
    },
    usable: () => true,
    warm: async () => undefined,
  };
}
