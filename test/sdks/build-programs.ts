import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runFetching } from '../deploy-tools/run-fetching.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const BUILD = join(FOLDER, '.build');
const EXAMPLES = fileURLToPath(new URL('../../docs/examples/sdk-one-client', import.meta.url));
const run = promisify(execFile);

/** How a program is started; the argument, an exact name, comes after. */
export type Command = readonly [file: string, ...args: string[]];

/**
 * Builds the sample programs with the SDKs of their languages' registries. A language that is missing is a failure:
 * the reader wants to know about all of them.
 */
export async function buildPrograms(): Promise<
  Readonly<
    Record<'python' | 'go' | 'java' | 'node' | 'terraform' | 'globalCredentials', Command> & {
      /** The samples of the vendor's page. */
      readonly samples: Readonly<Record<'python' | 'go', Command>>;
      /** The examples in which only one client goes to the service. */
      readonly oneClient: Readonly<Record<'python' | 'go', Command>>;
    }
  >
> {
  await mkdir(BUILD, { recursive: true });
  const virtualenv = join(BUILD, 'python');
  await run('python3', ['-m', 'venv', virtualenv]);
  await runFetching(join(virtualenv, 'bin/pip'), [
    'install',
    '--quiet',
    '-r',
    join(FOLDER, 'python/requirements.txt'),
  ]);
  const go = join(BUILD, 'list-image-caches');
  await runFetching('go', ['build', '-o', go, '.'], { cwd: join(FOLDER, 'go') });
  const terraform = join(BUILD, 'terraform-calls');
  await runFetching('go', ['build', '-o', terraform, './terraform'], { cwd: join(FOLDER, 'go') });
  const sample = join(BUILD, 'sample');
  await runFetching('go', ['build', '-o', sample, './sample'], { cwd: join(FOLDER, 'go') });
  const oneClient = join(BUILD, 'one-client');
  await runFetching('go', ['build', '-o', oneClient, `${EXAMPLES}.go`], { cwd: join(FOLDER, 'go') });
  const interpreter = join(virtualenv, 'bin/python');
  const java = join(FOLDER, 'java');
  await runFetching('mvn', ['--quiet', '--batch-mode', 'compile', 'dependency:copy-dependencies'], {
    cwd: java,
  });
  return {
    globalCredentials: [interpreter, join(FOLDER, 'python/global_credentials.py')],
    samples: { python: [interpreter, join(FOLDER, 'python/sample.py')], go: [sample] },
    oneClient: { python: [interpreter, `${EXAMPLES}.py`], go: [oneClient] },
    python: [interpreter, join(FOLDER, 'python/list_image_caches.py')],
    go: [go],
    terraform: [terraform],
    java: [
      'java',
      '-cp',
      `${join(java, 'target/classes')}:${join(java, 'target/dependency')}/*`,
      'ListImageCaches',
    ],
    node: [process.execPath, join(FOLDER, 'node/list-image-caches.mjs')],
  };
}
