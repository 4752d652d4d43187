import { fsyncSync, write, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Lines are written when they are about this long together, or have waited this long: 256 KiB, 100 ms. */
const BATCH_BYTES = 262_144;
const BATCH_MS = 100;
/** Of UTF-8, for each unit of a text. */
const MOST_BYTES_PER_UNIT = 3;
/** What may wait for a reader that is stuck, or for room on the disk: 16 MiB. */
const MAX_WAITING_BYTES = 16_777_216;
/** A pipe that is full is tried again after 1 ms, then after twice as long each time, up to 32 ms. */
const FULL_PIPE_MS = 1;
const MAX_FULL_PIPE_MS = 32;
/** After any other failure. */
const RETRY_MS = 100;
/** At the exit a full pipe is waited for so long in all. */
const MAX_EXIT_WAIT_MS = 1000;
const LINE_END = 0x0a;
const NOTHING = Buffer.alloc(0);

export interface LogDestination extends DestinationStream {
  /** Calls back when all lines are written, or with what the last write failed with. */
  readonly flush: (callback: (error?: Error) => void) => void;
  /** Writes all lines before it returns, as far as they can be written. */
  readonly flushSync: () => void;
}

/**
 * Gathers lines and writes them together: a write for each would cost more than answering a cache hit. A line becomes
 * bytes at once, while its pieces are in the processor's cache: a whole batch of them is not.
 *
 * Nobody waits for the log, and nothing that happens to it ends the process. When 16 MiB wait for a reader that is stuck or
 * for a full disk, what follows is dropped, and a line says how many lines that were as soon as all that waited is written.
 * (pino's own destination has no word for what was dropped, ends the process when a disk is full, does not let it exit while
 * one is or while a reader is stuck, and gives a full pipe its next 64 KiB after 100 ms.)
 *
 * What waits when the process exits is written then, as long as its reader takes it; what is being written may be cut, so
 * flush first where possible.
 *
 * @param fd a file descriptor; by default standard output. To ask for its stream makes Node set a pipe to non-blocking: a
 *   thread that waited for its reader could not be ended, and the process with it
 */
export function createLogDestination(fd: number = process.stdout.fd): LogDestination {
  const batch = Buffer.allocUnsafe(BATCH_BYTES);
  let used = 0;
  const queue: Buffer[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  /** What is being written, or tried again soon. */
  let current: Buffer | undefined;
  let isWriting = false;
  let fullPipeMs = FULL_PIPE_MS;
  let retry: NodeJS.Timeout | undefined;
  let flushed: ((error?: Error) => void)[] = [];

  function enqueue(lines: Buffer): void {
    if (waitingBytes + lines.byteLength > MAX_WAITING_BYTES) {
      for (const byte of lines) if (byte === LINE_END) dropped += 1;
      return;
    }
    waitingBytes += lines.byteLength;
    queue.push(lines);
    if (current === undefined) writeNext();
  }

  function writeNext(): void {
    current = queue.shift();
    if (current !== undefined) writeCurrent();
    else if (dropped > 0) enqueue(takeDroppedLine());
    else settle();
  }

  function writeCurrent(): void {
    isWriting = true;
    // By another thread: even where it is quick, it costs more than an answer.
    write(fd, current as Buffer, (error, bytes) => {
      isWriting = false;
      if (error === null) {
        fullPipeMs = FULL_PIPE_MS;
        waitingBytes -= bytes;
        current = (current as Buffer).subarray(bytes);
        if (current.byteLength > 0) writeCurrent();
        else writeNext();
        return;
      }
      if (error.code === 'EAGAIN') {
        retry = setTimeout(writeCurrent, fullPipeMs);
        fullPipeMs = Math.min(fullPipeMs * 2, MAX_FULL_PIPE_MS);
      } else {
        settle(error);
        retry = setTimeout(writeCurrent, RETRY_MS);
      }
      // Only who waits for the lines keeps the process from ending by itself.
      if (flushed.length === 0) retry.unref();
    });
  }

  function settle(error?: Error): void {
    const callbacks = flushed;
    flushed = [];
    for (const callback of callbacks) callback(error);
  }

  /** As the logger would write it. */
  function takeDroppedLine(): Buffer {
    const fields = { level: 'warn', time: new Date().toISOString(), lines: dropped };
    dropped = 0;
    return Buffer.from(
      `${JSON.stringify({ ...fields, msg: 'log lines were dropped: they could not be written' })}\n`,
    );
  }

  function pass(): void {
    if (used === 0) return;
    const lines = Buffer.from(batch.subarray(0, used));
    used = 0;
    enqueue(lines);
  }

  function flushSync(): void {
    try {
      // Waits for what another thread is writing.
      fsyncSync(fd);
    } catch {
      // A pipe cannot.
    }
    const retried = isWriting ? undefined : current;
    if (retried !== undefined) {
      clearTimeout(retry);
      current = undefined;
    }
    const rest = [retried ?? NOTHING, ...queue.splice(0), batch.subarray(0, used)];
    writeAtOnce(fd, Buffer.concat([...rest, dropped > 0 ? takeDroppedLine() : NOTHING]));
    used = 0;
    waitingBytes = current?.byteLength ?? 0;
  }

  process.once('exit', flushSync);
  setInterval(pass, BATCH_MS).unref();
  return {
    write(line) {
      const mostBytes = line.length * MOST_BYTES_PER_UNIT;
      if (mostBytes > BATCH_BYTES - used) pass();
      if (mostBytes > BATCH_BYTES) enqueue(Buffer.from(line));
      else used += batch.write(line, used);
    },
    flush(callback) {
      pass();
      flushed.push(callback);
      retry?.ref();
      if (current === undefined) settle();
    },
    flushSync,
  };
}

/** Writes as much as can be written. */
function writeAtOnce(fd: number, bytes: Buffer): void {
  let rest = bytes;
  for (let waitedMs = 0; rest.byteLength > 0 && waitedMs < MAX_EXIT_WAIT_MS; ) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_MS);
      waitedMs += FULL_PIPE_MS;
    }
  }
}
