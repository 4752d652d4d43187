import type { SdkClientsConfig } from '../config/config.ts';
import { type LocalKey, parseLocalKeys } from '../config/documents/local-keys.ts';
import { createLastGood } from '../outbound/last-good.ts';
import { describeOutboundError, OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';

/** The file is read again when a key is asked for and the last reading is older: 1 second, or the platform's interval. */
export const KEYS_CHECK_INTERVAL_MS = 1000;
/** A reading that takes longer, as on a mount that hangs, is given up: 1 second. */
const READ_TIMEOUT_MS = 1000;

export interface LocalKeyStore {
  /** The key pair of an access key id, by the file as it was a second ago at most. */
  find(accessKeyId: string): Promise<LocalKey | undefined>;
}

/** What the file held; its text is undefined for the pairs of the start. */
interface KeyPairs {
  readonly text: string | undefined;
  readonly byId: ReadonlyMap<string, LocalKey>;
}

/**
 * Holds the key pairs of SDK_KEYS_FILE and follows its changes: a pair that is taken out stops working within about
 * a second. The file is compared by content, so that any way of replacing it is seen. While it is gone or broken the
 * last good pairs stay in use.
 */
export function createLocalKeyStore(
  { keys, file }: Pick<SdkClientsConfig, 'keys' | 'file'>,
  platform: Pick<
    Platform,
    | 'now'
    | 'elapsed'
    | 'schedule'
    | 'readTextFile'
    | 'fileCheckIntervalMs'
    | 'waitUntil'
    | 'createSingleFlight'
    | 'logger'
  >,
): LocalKeyStore {
  const initial = keyPairs(undefined, keys);
  if (file === undefined) return { find: async (accessKeyId) => initial.byId.get(accessKeyId) };
  const { schedule, readTextFile, logger } = platform;

  async function load(path: string): Promise<KeyPairs> {
    const read = runWithin(
      READ_TIMEOUT_MS,
      schedule,
      () => readTextFile(path),
      () => new Error('too slow'),
    );
    const text = await read.catch((cause) => {
      throw new OutboundError('unreadable', { cause });
    });
    const held = pairs.current() as KeyPairs;
    if (text === held.text) return held;
    const parsed = parseLocalKeys(text);
    if ('faults' in parsed) throw new OutboundError('not_a_key_document');
    return keyPairs(text, parsed);
  }

  const pairs = createLastGood<KeyPairs>(
    {
      load: () => load(file),
      initial,
      checkIntervalMs: platform.fileCheckIntervalMs ?? KEYS_CHECK_INTERVAL_MS,
      pauseMs: () => 0,
      isReportedOnce: true,
      onLoaded({ byId }, replaced) {
        if (replaced !== initial) logger.info({ keys: byId.size }, 'the SDK keys were replaced');
      },
      onFailed(error) {
        logger.warn(
          describeOutboundError(error),
          'the file of the SDK keys is not usable: the last good keys stay in use',
        );
      },
      onRecovered: () => logger.info({}, 'the file of the SDK keys is good again'),
    },
    platform,
  );

  return {
    find: async (accessKeyId) => (await pairs.get())?.byId.get(accessKeyId),
  };
}

function keyPairs(text: string | undefined, keys: readonly LocalKey[]): KeyPairs {
  return { text, byId: new Map(keys.map((key) => [key.accessKeyId, key])) };
}
