import { fsyncSync } from 'node:fs';
import pino, { type DestinationStream } from 'pino';

/** Lines are written when they are about this long together, or have waited this long: 256 KiB, 100 ms. */
const BATCH_BYTES = 262_144;
const BATCH_MS = 100;
/** Of UTF-8, for each unit of a text. */
const MOST_BYTES_PER_UNIT = 3;
/** What may wait for a reader that is stuck: 16 MiB. */
const MAX_WAITING_BYTES = 16_777_216;
const LINE_END = 0x0a;

export interface LogDestination extends DestinationStream {
  /** Calls back when all lines are written. */
  readonly flush: (callback: (error?: Error) => void) => void;
  /** Writes all lines before it returns. */
  readonly flushSync: () => void;
}

/**
 * Gathers lines and writes them together: a write for each would cost more than answering a cache hit, and so would
 * sonic-boom's own gathering, which counts the bytes of all that waits anew for each line. A line becomes bytes at once,
 * while its pieces are in the processor's cache: a whole batch of them is not.
 *
 * Nobody waits for whoever reads the lines. When 16 MiB wait for a reader that is stuck, what follows is dropped, and a
 * line says how many lines that were as soon as all that waited has been read. What waits when the process exits is
 * written then; what is being written may be cut, so whoever can flushes first.
 *
 * @param fd a file descriptor; 1, standard output, by default
 */
export function createLogDestination(fd = 1): LogDestination {
  const batch = Buffer.allocUnsafe(BATCH_BYTES);
  let used = 0;
  const pass = () => {
    if (used === 0) return;
    const lines = Buffer.from(batch.subarray(0, used));
    used = 0;
    writeBytes(lines);
  };
  // Before pino's own, which ends the file.
  process.once('beforeExit', pass);
  // With a least length of 0 it would not wait in flush(). It is `dest` and not `fd`, with which pino would touch
  // process.stdout: Node then makes a pipe non-blocking, and of that sonic-boom takes 64 KiB each 100 ms.
  const file = pino.destination({
    dest: fd,
    sync: false,
    minLength: 1,
    maxLength: MAX_WAITING_BYTES,
    contentMode: 'buffer',
  });
  // Its type knows texts only.
  const writeBytes = (bytes: Buffer) => file.write(bytes as unknown as string);
  let dropped = 0;
  file.on('drop', (bytes: unknown) => {
    for (const byte of bytes as Buffer) if (byte === LINE_END) dropped += 1;
  });
  file.on('drain', () => {
    if (dropped === 0) return;
    writeBytes(Buffer.from(droppedLine(dropped)));
    dropped = 0;
  });
  const flushSync = () => {
    pass();
    file.flushSync();
    try {
      // Waits for what another thread is writing.
      fsyncSync(fd);
    } catch {
      // A pipe cannot.
    }
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
      const mostBytes = line.length * MOST_BYTES_PER_UNIT;
      if (mostBytes > BATCH_BYTES - used) pass();
      if (mostBytes > BATCH_BYTES) writeBytes(Buffer.from(line));
      else used += batch.write(line, used);
    },
    flush(callback) {
      pass();
      file.flush(callback);
    },
    flushSync,
  };
}

/** As the logger would write it. */
function droppedLine(lines: number): string {
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lines, msg: 'log lines were dropped: their reader was too slow' })}\n`;
}
