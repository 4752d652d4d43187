/**
 * A baseline: what a team would write by itself, on the same framework. The token is verified for each request, the list
 * is kept in an LRU for 30 seconds and written as JSON for each answer. Upstream is `UPSTREAM`, which takes unsigned
 * calls, or for comparing hits the file that the first argument names.
 */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';

const { AUTH_ISSUER: issuer = '', AUTH_AUDIENCE: audience = '', PORT, UPSTREAM, TTL_SECONDS } = process.env;
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks.json`));
const cache = new LRUCache<string, object>({ max: 1000, ttl: Number(TTL_SECONDS ?? 30) * 1000 });

async function load(name: string | undefined): Promise<object> {
  if (UPSTREAM !== undefined) {
    const query = name === undefined ? '' : `?name=${encodeURIComponent(name)}`;
    const url = `${UPSTREAM}/v5/imagecaches${query}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`upstream answers ${response.status}`);
    return (await response.json()) as object;
  }
  const list = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as {
    image_caches: { name: string }[];
  };
  if (name === undefined) return list;
  return { image_caches: list.image_caches.filter((entry) => entry.name === name) };
}

const app = new Hono();
app.onError((_error, c) => c.json({ error: 'upstream_failed' }, 502));
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
  const cached = cache.get(name ?? '*');
  const list = cached ?? (await load(name));
  if (cached === undefined) cache.set(name ?? '*', list);
  return c.json(list);
});
process.on('SIGTERM', () => process.exit(0));
serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' });
