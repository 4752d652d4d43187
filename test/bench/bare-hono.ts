/**
 * The baseline: Hono routes on the same server that return the same bytes, and do nothing else.
 * Arguments: the list as it is, a list of ten, the first one compressed by gzip and by brotli, the problem of a 401 and the
 * answer of a probe; all but the first may be missing.
 */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const [body, ten, gzip, brotli, unauthenticated, probe] = process.argv
  .slice(2)
  .map((file) => new Uint8Array(readFileSync(file)));
const JSON_TYPE = { 'content-type': 'application/json' };
const PROBLEM_TYPE = { 'content-type': 'application/problem+json', 'www-authenticate': 'Bearer' };
const app = new Hono();
if (body) app.get('/imagecaches', (c) => c.body(body, 200, JSON_TYPE));
if (ten) app.get('/ten', (c) => c.body(ten, 200, JSON_TYPE));
if (gzip) app.get('/gzip', (c) => c.body(gzip, 200, { ...JSON_TYPE, 'content-encoding': 'gzip' }));
if (brotli) app.get('/br', (c) => c.body(brotli, 200, { ...JSON_TYPE, 'content-encoding': 'br' }));
if (unauthenticated) app.get('/unauthenticated', (c) => c.body(unauthenticated, 401, PROBLEM_TYPE));
if (probe) app.get('/probe', (c) => c.body(probe, 200, JSON_TYPE));
app.get('/unchanged', (c) => c.body(null, 304, { etag: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"' }));
app.get('/readyz', (c) => c.body(null));
process.on('SIGTERM', () => process.exit(0));
serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: '127.0.0.1' });
