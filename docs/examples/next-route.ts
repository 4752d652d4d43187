// app/api/image-caches/route.ts: a Next.js route handler. The token never reaches the browser.
import { createClient, ImageCachesProblem } from 'imagecaches-bff/client';

const client = createClient({
  baseUrl: process.env.IMAGECACHES_URL ?? 'http://127.0.0.1:8080',
  token: async () => process.env.IMAGECACHES_TOKEN ?? '',
});

export async function GET(request: Request): Promise<Response> {
  const name = new URL(request.url).searchParams.get('name');
  try {
    const { imageCaches, ageSeconds } = await client.list({
      signal: request.signal,
      ...(name !== null && { name }),
    });
    return Response.json({ imageCaches, ageSeconds });
  } catch (error) {
    if (!(error instanceof ImageCachesProblem)) throw error;
    return Response.json({ code: error.code }, { status: error.status === 400 ? 400 : 502 });
  }
}
