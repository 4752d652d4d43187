import { Hono } from 'hono';
import { answer } from '../http/answer.ts';
import type { AppEnv } from '../http/env.ts';
import type { PageFiles } from '../platform/page-file.ts';

/**
 * What a page and its files may do: their own scripts and styles, and calls to this very service. Swagger UI sets inline
 * styles.
 */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The files of a page, each at its path: nothing comes from another host.
 *
 * @param route what stands for all of them in log and metrics
 */
export function pageFiles(route: string, files: PageFiles): Hono<AppEnv> {
  const room = new Hono<AppEnv>();
  for (const [path, read] of Object.entries(files))
    room.get(path, async (c) => {
      c.get('record').route = route;
      const { body, contentType } = await read();
      return answer(200, body, {
        'content-type': contentType,
        'cache-control': 'public, max-age=3600',
        'content-security-policy': PAGE_POLICY,
      });
    });
  return room;
}
