import type { SdkClientsConfig } from '../config/config.ts';
import { type LocalKey, parseLocalKeys } from '../config/documents/local-keys.ts';
import { describeError } from '../observability/describe-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';

/** The file is read again when a key is asked for and the last reading is older: 1 second. */
export const KEYS_CHECK_INTERVAL_MS = 1000;
/** A reading that takes longer, as on a mount that hangs, is given up: 1 second. */
const READ_TIMEOUT_MS = 1000;

type Trouble = 'unreadable' | 'not_a_key_document';

export interface LocalKeyStore {
  /** The key pair of an access key id, by the file as it was a second ago at most. */
  find(accessKeyId: string): Promise<LocalKey | undefined>;
}

/**
 * Holds the key pairs of SDK_KEYS_FILE and follows its changes: a pair that is taken out stops working within about
 * a second. The file is compared by content, so that any way of replacing it is seen. While it is gone or broken the
 * last good pairs stay in use.
 */
export function createLocalKeyStore(
  { keys, file }: Pick<SdkClientsConfig, 'keys' | 'file'>,
  deps: Pick<Platform, 'now' | 'schedule' | 'readTextFile' | 'waitUntil' | 'createSingleFlight' | 'logger'>,
): LocalKeyStore {
  const flights = deps.createSingleFlight();
  let held = byId(keys);
  let heldText: string | undefined;
  let checkFromMs = Number.NEGATIVE_INFINITY;
  let trouble: Trouble | undefined;

  async function check(path: string): Promise<void> {
    try {
      const text = await runWithin(
        READ_TIMEOUT_MS,
        deps.schedule,
        () => deps.readTextFile(path),
        () => new Error('too slow'),
      );
      if (text === heldText) return report(undefined);
      const parsed = parseLocalKeys(text);
      if ('faults' in parsed) return report('not_a_key_document');
      if (heldText !== undefined) deps.logger.info({ keys: parsed.length }, 'the SDK keys were replaced');
      held = byId(parsed);
      heldText = text;
      report(undefined);
    } catch (error) {
      report('unreadable', error);
    }
  }

  /** Says once that something is wrong with the file, and once that it no longer is. */
  function report(found: Trouble | undefined, error?: unknown): void {
    if (found === trouble) return;
    trouble = found;
    if (found === undefined) deps.logger.info({}, 'the file of the SDK keys is good again');
    else {
      const fields = { reason: found, error: error === undefined ? undefined : describeError(error) };
      deps.logger.warn(fields, 'the file of the SDK keys is not usable: the last good keys stay in use');
    }
  }

  return {
    async find(accessKeyId) {
      if (file !== undefined && Math.abs(deps.now() - checkFromMs) >= KEYS_CHECK_INTERVAL_MS) {
        const { promise, joined } = flights.run('check', () => check(file));
        if (!joined) {
          checkFromMs = deps.now();
          deps.waitUntil(promise);
        }
        await promise;
      }
      return held.get(accessKeyId);
    },
  };
}

function byId(keys: readonly LocalKey[]): ReadonlyMap<string, LocalKey> {
  return new Map(keys.map((key) => [key.accessKeyId, key]));
}
