import { Hono, type MiddlewareHandler } from 'hono';
import type { CallerEnv } from '../auth/authenticate-caller.ts';
import { jsonAnswer } from '../http/answer.ts';
import { madeUpId } from './made-up-id.ts';
import { parseProjectsQuery } from './projects-query.ts';

/**
 * `GET /v3/projects?name=<region>`: what the vendor's SDKs ask IAM for before their first call, when they are given
 * a region and no project id. There is one project for each region, made up from its name: it means nothing in the
 * cloud, and is not looked at when it comes back.
 */
export function projects(authenticate: MiddlewareHandler<CallerEnv>): Hono<CallerEnv> {
  return new Hono<CallerEnv>().get('/projects', authenticate, async (c) => {
    const region = parseProjectsQuery(c.req.url);
    const id = await madeUpId(`project ${region}`);
    const project = { id, name: region, enabled: true, is_domain: false, description: '' };
    return jsonAnswer(200, { projects: [project], links: {} }, { 'cache-control': 'private, no-store' });
  });
}
