/** The baseline: a Hono route on the same server that returns the same bytes, and does nothing else. */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const body = new Uint8Array(readFileSync(process.argv[2] as string));
const app = new Hono();
app.get('/imagecaches', (c) => c.body(body, 200, { 'content-type': 'application/json' }));
app.get('/readyz', (c) => c.body(null));
process.on('SIGINT', () => process.exit(0));
serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: '127.0.0.1' });
