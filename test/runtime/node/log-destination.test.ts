import { execFile } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createLogDestination } from '../../../src/runtime/node/log-destination.ts';

const folder = mkdtempSync(join(tmpdir(), 'imagecaches-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SOURCE = fileURLToPath(new URL('../../../src/runtime/node/log-destination.ts', import.meta.url));

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
});
