import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createLogDestination } from '../../../src/runtime/node/telemetry/log-destination.ts';

const folder = mkdtempSync(join(tmpdir(), 'imagecaches-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SOURCE = fileURLToPath(
  new URL('../../../src/runtime/node/telemetry/log-destination.ts', import.meta.url),
);

/** What a process prints that logs so many lines and then does something. */
function printedBy(lines: number, then: string): Promise<string> {
  const script = `
    import { createLogDestination } from ${JSON.stringify(SOURCE)};
    const destination = createLogDestination();
    for (let line = 0; line < ${lines}; line += 1) destination.write(\`line \${line} \${'é'.repeat(50)}\\n\`);
    ${then}
  `;
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], { maxBuffer: 64e6 }, (_error, stdout) =>
      resolve(stdout),
    );
  });
}

function expectLines(text: string, count: number): void {
  const numbers = text.split('\n').map((line) => /^line (\d+) é{50}$/.exec(line)?.[1]);
  expect(numbers).toEqual([...Array.from({ length: count }, (_, line) => String(line)), undefined]);
}

describe('lines of the log', () => {
  it.each([
    ['ends by itself', ''],
    ['exits when all is flushed', 'destination.flush(() => process.exit(0));'],
  ])('are all there, whole and in order, when the process %s', async (_name, then) => {
    for (const count of [1, 10_000]) expectLines(await printedBy(count, then), count);
  });

  it.each([
    ['exits', 'process.exit(0);'],
    ['exits later', 'setTimeout(() => process.exit(0), 0);'],
    ['breaks', "throw new Error('broken');"],
  ])('that wait are written when the process %s', async (_name, then) => {
    for (const count of [1, 200]) expectLines(await printedBy(count, then), count);
  });

  it('are written without waiting for more, and at once where asked to', async () => {
    const file = join(folder, 'lines.log');
    const fd = openSync(file, 'w');
    const destination = createLogDestination(fd);
    destination.write('a\n');
    expect(readFileSync(file, 'utf8')).toBe('');
    await new Promise<void>((resolve) => destination.flush(() => resolve()));
    expect(readFileSync(file, 'utf8')).toBe('a\n');
    destination.write('b\n');
    destination.flushSync();
    expect(readFileSync(file, 'utf8')).toBe('a\nb\n');
    destination.write('c\n');
    await expect.poll(() => readFileSync(file, 'utf8')).toBe('a\nb\nc\n');
    closeSync(fd);
  });

  it('that a stuck reader does not take are dropped and counted, and the others are whole and in order', async () => {
    const lines = 1_000_000;
    const script = `
      import { createLogDestination } from ${JSON.stringify(SOURCE)};
      const destination = createLogDestination();
      for (let line = 0; line < ${lines}; line += 1) {
        destination.write(\`line \${line} \${'é'.repeat(50)}\\n\`);
        // As requests come, others get their turn.
        if (line % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      process.stderr.write(String(process.memoryUsage().external));
      // The line that says so comes after the last that waited.
      destination.flush(() => setImmediate(() => destination.flush(() => {})));
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    child.stdout.pause();
    const [said] = await once(child.stderr, 'data');
    // 112 MB were written.
    expect(Number(String(said))).toBeLessThan(70e6);
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
    await once(child, 'close');

    const text = Buffer.concat(chunks).toString();
    expect(text.at(-1)).toBe('\n');
    const all = text.slice(0, -1).split('\n');
    const told = JSON.parse(all.at(-1) as string);
    expect(told).toMatchObject({ level: 'warn', msg: expect.stringContaining('dropped') });
    const numbers = all.slice(0, -1).map((line) => Number(/^line (\d+) é{50}$/.exec(line)?.[1]));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.length).toBeGreaterThan(100_000);
    expect(numbers.length + told.lines).toBe(lines);
    // 16 MiB wait, and what the pipe and its reader hold besides.
    expect(Buffer.byteLength(text)).toBeGreaterThan(15 * 1_048_576);
    expect(Buffer.byteLength(text)).toBeLessThan(18 * 1_048_576);
  });

  it('do not keep the process when their reader is stuck', async () => {
    const script = `
      import { createLogDestination } from ${JSON.stringify(SOURCE)};
      const destination = createLogDestination();
      for (let line = 0; line < 10_000; line += 1) destination.write('a line of the log that nobody reads\\n'.repeat(5));
      setTimeout(() => process.exit(3), 50);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    child.stdout.pause();
    const [code] = await once(child, 'exit');
    expect(code).toBe(3);
    child.stdout.destroy();
  });

  it.skipIf(!existsSync('/dev/full'))(
    'end no process when the disk is full, and do not keep it',
    async () => {
      const script = `
      import { createLogDestination } from ${JSON.stringify(SOURCE)};
      const destination = createLogDestination();
      destination.write('a line\\n');
      destination.flush((error) => {
        process.stderr.write(error.code);
        destination.write('another\\n');
      });
    `;
      const full = openSync('/dev/full', 'w');
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', full, 'pipe'],
      });
      const chunks: Buffer[] = [];
      child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
      const [code] = await once(child, 'close');
      closeSync(full);
      expect(Buffer.concat(chunks).toString()).toBe('ENOSPC');
      expect(code).toBe(0);
    },
  );

  it('that could not be written are written later', async () => {
    const file = join(folder, 'later.log');
    writeFileSync(file, '');
    // The descriptor is that of a file opened for reading: each write fails.
    const reading = openSync(file, 'r');
    const destination = createLogDestination(reading);
    destination.write('kept\n');
    const error = await new Promise<Error | undefined>((resolve) => destination.flush(resolve));
    expect(error).toMatchObject({ code: 'EBADF' });
    closeSync(reading);
    // The lowest number that is free is given, and what others closed meanwhile may be lower.
    const opened = [openSync(file, 'w')];
    while ((opened.at(-1) as number) < reading) opened.push(openSync(file, 'w'));
    expect(opened.at(-1)).toBe(reading);
    await expect.poll(() => readFileSync(file, 'utf8')).toBe('kept\n');
    for (const each of opened) closeSync(each);
  });
});
