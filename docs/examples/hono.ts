// A Hono backend, on Node or Workers, that says whether an image cache can be used.
import { Hono } from 'hono';
import { createClient } from 'imagecaches-bff/client';

const app = new Hono<{ Bindings: { IMAGECACHES_URL: string; IMAGECACHES_TOKEN: string } }>();
app.get('/ready/:name', async (c) => {
  const client = createClient({ baseUrl: c.env.IMAGECACHES_URL, token: c.env.IMAGECACHES_TOKEN });
  const imageCache = await client.get(c.req.param('name'), { signal: c.req.raw.signal });
  return c.json({ ready: imageCache?.status === 'Available' });
});
export default app;
