import pino, { type DestinationStream, type Logger as PinoLogger } from 'pino';
import type { Config } from '../../../config/config.ts';
import type { Logger } from '../../../observability/logger.ts';
import { CENSOR, SECRET_MEMBERS } from '../../../observability/secret-members.ts';
import { createLogDestination } from './log-destination.ts';
import { createRequestRenderer } from './request-line.ts';

/**
 * The last net, not the first: the core chooses what it logs field by field. Should a secret ever slip in, at
 * the top or inside an object that such slips log whole, it is replaced. Wildcards would catch more, but
 * looking into every member of every line costs more than answering a cache hit.
 */
const REDACTED_PATHS = ['', 'headers', 'request', 'response', 'credential', 'credentials', 'config'].flatMap(
  (parent) => SECRET_MEMBERS.map((member) => `${parent}["${member}"]`),
);

export type NodeLogger = PinoLogger & Required<Pick<Logger, 'request'>>;

/**
 * JSON lines with pino. That of a request has always the same members, none of which can hold a secret, so it is put
 * together without looking for any.
 *
 * @param destination where they go; standard output by default, see createLogDestination
 */
export function createLogger(
  level: Config['logLevel'],
  destination: DestinationStream = createLogDestination(),
): NodeLogger {
  const timestamp = createTimestamp();
  const renderRequest = createRequestRenderer(timestamp);
  const logger = pino(
    {
      level,
      base: null,
      timestamp,
      formatters: { level: (label) => ({ level: label }) },
      // An error given as `err` would bring its message: the core describes errors without it.
      serializers: {
        err: () => '[not logged]',
        error: (value: unknown) => (value instanceof Error ? value.name : value),
      },
      redact: {
        paths: REDACTED_PATHS,
        censor: CENSOR,
      },
    },
    destination,
  );
  return Object.assign(logger, {
    request: (of, fields) => {
      if (logger.isLevelEnabled(of)) destination.write(renderRequest(of, fields));
    },
  } satisfies Pick<NodeLogger, 'request'>);
}

/** The time in RFC 3339, made once for all lines of the same millisecond. */
function createTimestamp(): () => string {
  let lastMs = Number.NaN;
  let text = '';
  return () => {
    const nowMs = Date.now();
    if (nowMs !== lastMs) {
      lastMs = nowMs;
      text = `,"time":"${new Date(nowMs).toISOString()}"`;
    }
    return text;
  };
}
