import pino, { type DestinationStream, type Logger as PinoLogger } from 'pino';
import type { Config } from '../../config.ts';

/**
 * The last net, not the first: the core chooses what it logs field by field. Should a whole object ever slip
 * through, these members of it do not.
 */
export const REDACTED_MEMBERS = [
  'authorization',
  'Authorization',
  'cookie',
  'token',
  'secretAccessKey',
  'securityToken',
  'accessKeyId',
  '["x-security-token"]',
  '["X-Security-Token"]',
  '["x-auth-token"]',
  '["X-Auth-Token"]',
];

/**
 * JSON lines with pino.
 *
 * @param destination where they go; standard output by default, written in batches of 4 KiB or 100 ms and
 *   at exit, because a write for each line costs more than answering a cache hit
 */
export function createLogger(
  level: Config['logLevel'],
  destination: DestinationStream = pino.destination({
    fd: 1,
    sync: false,
    minLength: 4096,
    periodicFlush: 100,
  }),
): PinoLogger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // An error given as `err` would bring its message: the core describes errors without it.
      serializers: {
        err: () => '[not logged]',
        error: (value: unknown) => (value instanceof Error ? value.name : value),
      },
      redact: {
        paths: REDACTED_MEMBERS.flatMap((member) => [
          member,
          member.startsWith('[') ? `*${member}` : `*.${member}`,
        ]),
        censor: '[redacted]',
      },
    },
    destination,
  );
}
