import { Hono, type MiddlewareHandler } from 'hono';
import type { CallerEnv } from '../auth/authenticate-caller.ts';
import { jsonAnswer } from '../http/answer.ts';
import { parseDomainsQuery } from './domains-query.ts';
import { madeUpId } from './made-up-id.ts';

/**
 * `GET /v3/auth/domains[?name=<account>]`: what the vendor's SDKs ask IAM for before their first call with global
 * credentials, and Terraform's client when it is given an account's name. There is one made-up domain; it is not looked at
 * when it comes back.
 */
export function domains(authenticate: MiddlewareHandler<CallerEnv>): Hono<CallerEnv> {
  return new Hono<CallerEnv>().get('/auth/domains', authenticate, async (c) => {
    const name = parseDomainsQuery(c.req.url);
    const domain = { id: await madeUpId('domain'), name, enabled: true, description: '' };
    return jsonAnswer(200, { domains: [domain], links: {} }, { 'cache-control': 'private, no-store' });
  });
}
