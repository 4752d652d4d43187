import type { Config } from '../../config/config.ts';
import type { Logger } from '../../observability/logger.ts';
import { CENSOR, SECRET_MEMBERS } from '../../observability/secret-members.ts';

/** Pino's order; silent is above all. */
const RANKS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 70 } as const;
type Rank = 'debug' | 'info' | 'warn' | 'error';
const SECRETS: ReadonlySet<string> = new Set(SECRET_MEMBERS);

/**
 * JSON lines on the console, by its method of the same level, with the fields that pino writes on Node. Pino's build for browsers has no redaction;
 * this one censors the same members, at any depth, and shows no error but by its name.
 */
export function createConsoleLogger(
  level: Config['logLevel'],
  now: () => number,
  write: (rank: Rank, line: string) => void = writeToConsole,
): Logger {
  const at = (rank: Rank) => {
    if (RANKS[rank] < RANKS[level]) return () => undefined;
    return (fields: object, msg: string) => {
      const line = { level: rank, time: new Date(now()).toISOString(), ...fields, msg };
      write(rank, JSON.stringify(line, censor));
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function writeToConsole(rank: Rank, line: string): void {
  // biome-ignore lint/suspicious/noConsole: it is where a Worker's log goes
  console[rank](line);
}

function censor(name: string, value: unknown): unknown {
  if (SECRETS.has(name)) return CENSOR;
  return value instanceof Error ? value.name : value;
}
