import pino, { type DestinationStream } from 'pino';

/** Lines are written when they are this long together, or have waited this long: 32 Ki characters, 100 ms. */
const BATCH_CHARACTERS = 32_768;
const BATCH_MS = 100;

export interface LogDestination extends DestinationStream {
  /** Calls back when all lines are written. */
  readonly flush: (callback: (error?: Error) => void) => void;
  /** Writes all lines before it returns. */
  readonly flushSync: () => void;
}

/**
 * Gathers lines and writes them together: a write for each would cost more than answering a cache hit, and so would
 * sonic-boom's own gathering, which counts the bytes of all that waits anew for each line. What waits when the process
 * exits is written then; what is being written may be cut, so whoever can flushes first.
 *
 * @param fd a file descriptor; 1, standard output, by default
 */
export function createLogDestination(fd = 1): LogDestination {
  let waiting = '';
  const pass = () => {
    if (waiting === '') return;
    const lines = waiting;
    waiting = '';
    file.write(lines);
  };
  // Before pino's own, which ends the file.
  process.once('beforeExit', pass);
  // With a least length of 0 it would not wait in flush().
  const file = pino.destination({ fd, sync: false, minLength: 1 });
  const flushSync = () => {
    pass();
    file.flushSync();
  };
  process.once('exit', () => {
    try {
      flushSync();
    } catch {
      // The process came to its end by itself: all was passed on, and the file is closed.
    }
  });
  setInterval(pass, BATCH_MS).unref();
  return {
    write(line) {
      waiting += line;
      if (waiting.length >= BATCH_CHARACTERS) pass();
    },
    flush(callback) {
      pass();
      file.flush(callback);
    },
    flushSync,
  };
}
