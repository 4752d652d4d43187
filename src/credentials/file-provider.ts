import { createLastGood } from '../outbound/last-good.ts';
import { describeOutboundError, OutboundError } from '../outbound/outbound-error.ts';
import { readUntilTwoAgree } from '../outbound/read-until-two-agree.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import { type CredentialProvider, freezeCredential, isSameCredential } from './provider.ts';

/**
 * The files are read again when a credential is asked for and the last reading is older: 1 second, where the platform
 * has no interval of its own.
 */
export const CHECK_INTERVAL_MS = 1000;
/** A change of only some of the files comes into use once it was seen unchanged for this long: 2 seconds. */
export const SETTLE_MS = 2000;
/** A reading that takes longer, as on a mount that hangs, is given up: 1 second. */
export const READ_TIMEOUT_MS = 1000;

const MEMBERS = ['accessKeyId', 'secretAccessKey', 'securityToken', 'authToken'] as const;

/** The file of each member that is in one, named by `HUAWEICLOUD_SDK_AK_FILE` and the like. */
export type CredentialFiles = Readonly<Partial<Record<(typeof MEMBERS)[number], string | undefined>>>;

/**
 * A credential whose members are in files, which may be replaced at any time. The files are read when a
 * credential is asked for, at most once a second, and compared by content. That needs no watcher to close, and
 * works where there are no change events or only misleading ones: symbolic links that Kubernetes swaps, network
 * and FUSE mounts, time stamps that stay the same. A reading takes far less than the call that is then signed.
 *
 * The members are one unit. A reading counts when the next one agrees, so none of it is from before a swap and
 * none from after. Keys are issued in pairs, so when only some of the files have changed, the others are
 * expected to follow, as with two mounts: the old credential is used for up to 2 seconds more, unless the vendor
 * has rejected it. Files that are gone, empty or bad leave the last good credential in use.
 *
 * @param initial what the files and the other settings held at the start
 * @param readAll reads the whole credential, where one file holds all of it
 * @throws TypeError when it cannot be used, see checkCredential
 */
export function createFileProvider(
  initial: Credential,
  files: CredentialFiles,
  platform: Pick<
    TargetPlatform,
    | 'readTextFile'
    | 'fileCheckIntervalMs'
    | 'now'
    | 'elapsed'
    | 'schedule'
    | 'waitUntil'
    | 'createSingleFlight'
    | 'logger'
    | 'metrics'
  >,
  readAll?: () => Promise<Credential>,
): CredentialProvider {
  const { logger, metrics } = platform;
  const members = MEMBERS.filter((member) => files[member] !== undefined);
  let rejectedByVendor: Credential | undefined;

  async function readFiles(): Promise<Credential> {
    const read = members.map(
      async (member) => [member, (await platform.readTextFile(files[member] as string)).trim()] as const,
    );
    const credential = { ...initial, ...Object.fromEntries(await Promise.all(read)) } as Credential;
    // An empty token file means that there is no token.
    return credential.securityToken === ''
      ? ({ ...credential, securityToken: undefined } as Credential)
      : credential;
  }

  async function load(): Promise<Credential> {
    const readStable = () => readUntilTwoAgree(readAll ?? readFiles, held(), isSameCredential);
    const credential = await runWithin(READ_TIMEOUT_MS, platform.schedule, readStable).catch((cause) => {
      // A file that was read and holds something else says so itself.
      const isRead = cause instanceof OutboundError && cause.code === 'not_a_credential';
      throw isRead ? cause : new OutboundError('unreadable', { cause });
    });
    if (credential === undefined) throw new OutboundError('changing');
    try {
      return freezeCredential(credential);
    } catch {
      throw new OutboundError('not_a_credential');
    }
  }

  const credentials = createLastGood<Credential>(
    {
      load,
      initial: freezeCredential(initial),
      isSame: isSameCredential,
      settleMs(loaded, replaced) {
        const isWhollyNew = members.every((member) => loaded[member] !== replaced[member]);
        return isWhollyNew || replaced === rejectedByVendor ? 0 : SETTLE_MS;
      },
      checkIntervalMs: platform.fileCheckIntervalMs ?? CHECK_INTERVAL_MS,
      pauseMs: () => 0,
      isReportedOnce: true,
      onLoaded() {
        metrics.credentialLoaded(undefined);
        logger.info({ source: 'files' }, 'credential replaced');
      },
      onFailed(error) {
        logger.warn(
          { source: 'files', ...describeOutboundError(error) },
          'the credential files are not usable: the last good credential stays in use',
        );
      },
      onRecovered: () => logger.info({ source: 'files' }, 'the credential files are good again'),
    },
    platform,
  );
  metrics.credentialLoaded(undefined);
  /** There is one from the start, and it does not expire. */
  const held = () => credentials.current() as Credential;

  return {
    get: () => credentials.get() as Credential | Promise<Credential>,
    async reload(rejected) {
      if (!isSameCredential(held(), rejected)) return true;
      rejectedByVendor = held();
      await credentials.reload();
      return !isSameCredential(held(), rejected);
    },
    usable: () => true,
    warm: async () => undefined,
  };
}
