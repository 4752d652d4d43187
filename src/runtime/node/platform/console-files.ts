import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { PageFile } from '../../../platform/page-file.ts';
import type { Platform } from '../../../platform/platform.ts';

const JAVASCRIPT = 'text/javascript; charset=utf-8';

/** The files of the console, from this repository and from the package of the sign-in library. */
export function createConsoleFiles(): NonNullable<Platform['consoleFiles']> {
  return {
    '/console/console.css': file(
      new URL('../../../pages/console/console.css', import.meta.url),
      'text/css; charset=utf-8',
    ),
    '/console/console.js': file(new URL('../../../pages/console/console.js', import.meta.url), JAVASCRIPT),
    '/console/oauth4webapi.js': file(new URL(import.meta.resolve('oauth4webapi')), JAVASCRIPT),
  };
}

function file(url: URL, contentType: string): () => Promise<PageFile> {
  let kept: PageFile | undefined;
  return async () => {
    kept ??= { body: new Uint8Array(await readFile(fileURLToPath(url))), contentType };
    return kept;
  };
}
