import { type ConfigFault, SETTING_NAMES } from '../../config/config.ts';
import { runWithin } from '../../outbound/run-within.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Bindings } from './parse-bindings.ts';

/** A secret that takes longer is given up: 2 seconds. */
export const SECRET_TIMEOUT_MS = 2000;
/** Secrets are asked for again when one is needed and the last time is longer ago: 5 minutes. */
export const SECRET_CHECK_INTERVAL_MS = 300_000;

/** A secret of Secrets Store: https://developers.cloudflare.com/secrets-store/integrations/workers/ */
interface SecretBinding {
  get(): Promise<string>;
}

export type SecretBindings = Readonly<Record<string, SecretBinding>>;

/** The settings that are bound to secrets which have to be asked for. */
export function findSecretBindings(bindings: Bindings): SecretBindings {
  const entries = SETTING_NAMES.map((name) => [name, bindings[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, SecretBinding] => isSecret(entry[1])));
}

function isSecret(binding: unknown): binding is SecretBinding {
  return typeof binding === 'object' && binding !== null && typeof Object(binding).get === 'function';
}

export interface ReadSecrets {
  /** The texts by name. */
  readonly texts: Readonly<Record<string, string>>;
  /** One for each secret that could not be read. */
  readonly faults: readonly ConfigFault[];
}

/** Asks for all of them at once. Never rejects. */
export async function readSecretBindings(
  secrets: SecretBindings,
  { schedule }: Pick<Platform, 'schedule'>,
): Promise<ReadSecrets> {
  const texts: Record<string, string> = {};
  const faults: ConfigFault[] = [];
  await Promise.all(
    Object.entries(secrets).map(async ([setting, secret]) => {
      try {
        const text: unknown = await runWithin(SECRET_TIMEOUT_MS, schedule, () => secret.get());
        texts[setting] = (text as string).trim();
      } catch {
        // What it threw may quote the store.
        faults.push({ setting, fault: 'could not be read from Secrets Store' });
      }
    }),
  );
  return { texts, faults };
}

/**
 * Secrets as files by their names, for what follows files.
 *
 * @param texts what has just been read, which is not asked for again
 */
export function secretsAsFiles(
  secrets: SecretBindings,
  texts: ReadSecrets['texts'],
  { elapsed }: Pick<Platform, 'elapsed'>,
): Required<Pick<Platform, 'readTextFile' | 'fileCheckIntervalMs'>> {
  const unused = new Map(Object.entries(texts));
  const readAtMs = elapsed();
  return {
    fileCheckIntervalMs: SECRET_CHECK_INTERVAL_MS,
    readTextFile: async (name) => {
      const text = elapsed() - readAtMs < SECRET_CHECK_INTERVAL_MS ? unused.get(name) : undefined;
      unused.delete(name);
      const secret = secrets[name];
      if (secret === undefined) throw new Error('there are no files');
      return text ?? secret.get();
    },
  };
}
