import type { Config } from '../../config/config.ts';
import type { Logger } from '../../observability/logger.ts';
import { CENSOR, SECRET_MEMBERS } from '../../observability/secret-members.ts';

/** Pino's order; silent is above all. */
const RANKS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 70 } as const;
const SECRETS: ReadonlySet<string> = new Set(SECRET_MEMBERS);

/**
 * JSON lines on the console, with the fields that pino writes on Node. Pino's build for browsers has no redaction;
 * this one censors the same members, at any depth, and shows no error but by its name.
 */
export function createConsoleLogger(
  level: Config['logLevel'],
  now: () => number,
  // biome-ignore lint/suspicious/noConsole: it is where a Worker's log goes
  write: (line: string) => void = console.log,
): Logger {
  const at = (rank: 'debug' | 'info' | 'warn' | 'error') => {
    if (RANKS[rank] < RANKS[level]) return () => undefined;
    return (fields: object, msg: string) => {
      const line = { level: rank, time: new Date(now()).toISOString(), ...fields, msg };
      write(JSON.stringify(line, censor));
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function censor(name: string, value: unknown): unknown {
  if (SECRETS.has(name)) return CENSOR;
  return value instanceof Error ? value.name : value;
}
