import type { Logger } from '../../../observability/logger.ts';

export interface MutedLogger {
  readonly logger: Logger;
  /** From now on only the lines of requests are written. */
  readonly mute: () => void;
}

/** A logger for work that may be cut short: what fails because of that is no news. */
export function createMutedLogger(inner: Logger): MutedLogger {
  let isMuted = false;
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      if (!isMuted) inner[level](fields, message);
    };
  return {
    logger: {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      ...(inner.request && { request: inner.request.bind(inner) }),
    },
    mute: () => {
      isMuted = true;
    },
  };
}
