// An Express backend that shows the names of what is available.
import express from 'express';
import { createClient } from 'imagecaches-bff/client';

const client = createClient({
  baseUrl: process.env.IMAGECACHES_URL ?? 'http://127.0.0.1:8080',
  token: async () => process.env.IMAGECACHES_TOKEN ?? '',
});

const app = express();
app.get('/names', async (_request, response) => {
  const { imageCaches } = await client.list();
  response.json(imageCaches.filter(({ status }) => status === 'Available').map(({ name }) => name));
});
app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
