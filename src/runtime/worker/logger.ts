import type { Config } from '../../config/config.ts';
import type { Logger } from '../../observability/logger.ts';
import { CENSOR, SECRET_MEMBERS } from '../../observability/secret-members.ts';

/** Pino's order; silent is above all. */
const RANKS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 70 } as const;
type Rank = 'debug' | 'info' | 'warn' | 'error';
const SECRETS: ReadonlySet<string> = new Set(SECRET_MEMBERS);

/**
 * JSON lines on the console, by its method of the same level, with the fields that pino writes on Node. Pino's build for
 * browsers has no redaction; this one censors the same members, at any depth, and shows no error but by its name.
 */
export function createConsoleLogger(
  level: Config['logLevel'],
  now: () => number,
  write: (rank: Rank, line: string) => void = writeToConsole,
): Logger {
  const at = (rank: Rank, replacer?: typeof censor) => {
    if (RANKS[rank] < RANKS[level]) return () => undefined;
    return (fields: object, msg: string) => {
      const line = { level: rank, time: new Date(now()).toISOString(), ...fields, msg };
      write(rank, JSON.stringify(line, replacer));
    };
  };
  // Their fields are fixed, and none holds a secret; a replacer, which is called for each field, costs a hit a tenth.
  const ofRequests = { debug: at('debug'), info: at('info'), warn: at('warn') };
  return {
    debug: at('debug', censor),
    info: at('info', censor),
    warn: at('warn', censor),
    error: at('error', censor),
    request: (rank, fields) => ofRequests[rank](fields, 'request'),
  };
}

function writeToConsole(rank: Rank, line: string): void {
  // biome-ignore lint/suspicious/noConsole: it is where a Worker's log goes
  console[rank](line);
}

function censor(name: string, value: unknown): unknown {
  if (SECRETS.has(name)) return CENSOR;
  return value instanceof Error ? value.name : value;
}
