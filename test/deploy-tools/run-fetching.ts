import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TRIES = 3;

/** Runs a program that fetches something from other machines, which fail now and then: up to three times. */
export async function runFetching(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ readonly stdout: string }> {
  for (let count = 1; ; count += 1) {
    try {
      return await run(program, args, { maxBuffer: 1 << 26, ...options });
    } catch (error) {
      if (count === TRIES) throw error;
      console.warn(`${program} ${args.join(' ')}: ${String(error)}`);
    }
  }
}
