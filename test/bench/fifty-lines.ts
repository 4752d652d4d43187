/**
 * A baseline: what a team would write by itself, on the same framework. The token is verified for each request, the list
 * is kept in an LRU for 30 seconds and written as JSON for each answer. Upstream is a file here, so only hits compare.
 */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';

const { AUTH_ISSUER: issuer = '', AUTH_AUDIENCE: audience = '', PORT } = process.env;
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks.json`));
const cache = new LRUCache<string, object>({ max: 1000, ttl: 30_000 });

function load(name: string | undefined): object {
  const list = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as {
    image_caches: { name: string }[];
  };
  if (name === undefined) return list;
  return { image_caches: list.image_caches.filter((entry) => entry.name === name) };
}

const app = new Hono();
app.get('/readyz', (c) => c.body(null));
app.get('/imagecaches', async (c) => {
  const token = c.req.header('authorization')?.replace(/^Bearer /, '') ?? '';
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience });
    if (!String(payload.scope).split(' ').includes('imagecaches:read'))
      return c.json({ error: 'forbidden' }, 403);
  } catch {
    return c.json({ error: 'unauthorized' }, 401);
  }
  const name = c.req.query('name');
  const list = cache.get(name ?? '*') ?? load(name);
  cache.set(name ?? '*', list);
  return c.json(list);
});
process.on('SIGTERM', () => process.exit(0));
serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' });
