/** The baseline: a Hono route on the same server that returns the same bytes, and does nothing else. */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const body = new Uint8Array(readFileSync(process.argv[2] as string));
const app = new Hono();
app.get('/imagecaches', (c) => c.body(body, 200, { 'content-type': 'application/json' }));
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
