import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { preferredCoding } from '../../src/http/accept-encoding.ts';
import { compress } from '../../src/runtime/node/platform/compress.ts';
import { createTestService, vendorEntry, vendorList } from '../support/test-service.ts';

describe('the coding that a caller likes best', () => {
  it.each<[acceptEncoding: string | null, coding: string | undefined]>([
    [null, undefined],
    ['', undefined],
    ['identity', undefined],
    ['deflate, zstd', undefined],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br', 'br'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['br;q=0.8, gzip;q=0.8', 'br'],
    ['gzip;q=0', undefined],
    ['br;q=0, *', 'gzip'],
    ['*', 'br'],
    ['*;q=0', undefined],
    ['identity, gzip;q=0.5', undefined],
    ['identity;q=0.5, gzip', 'gzip'],
    ['identity;q=0', undefined],
    [`gzip${' '.repeat(300)}`, undefined],
  ])('of %j is %s', (acceptEncoding, coding) => {
    expect(preferredCoding(acceptEncoding)).toBe(coding);
    expect(preferredCoding(acceptEncoding)).toBe(coding);
  });

  it('is looked for in 256 characters at most', () => {
    expect(preferredCoding('gzip'.padEnd(256))).toBe('gzip');
    expect(preferredCoding('gzip'.padEnd(257))).toBeUndefined();
  });
});

it.each(['br', 'gzip'] as const)('a body by %s takes no more memory than it has bytes', async (coding) => {
  const body = await compress(new Uint8Array(20_000), coding);
  expect(body.buffer.byteLength).toBe(body.byteLength);
});

describe('a list for a caller who can decompress', () => {
  async function setUp() {
    let compressed = 0;
    const service = await createTestService(
      {},
      {
        compress: (body, coding) => {
          compressed += 1;
          return compress(body, coding);
        },
      },
    );
    service.upstream = () =>
      vendorList(...Array.from({ length: 50 }, (_, index) => vendorEntry(`name-${index}`)));
    const get = (acceptEncoding: string, more: Record<string, string> = {}, path = '/imagecaches') =>
      service.get(path, { headers: { 'accept-encoding': acceptEncoding, ...more } });
    return { service, get, compressions: () => compressed };
  }

  it('is the same bytes, much smaller, with a tag of its own', async () => {
    const { get, compressions } = await setUp();
    const plain = Buffer.from(await (await get('identity')).arrayBuffer());
    for (const [coding, decompress] of [
      ['br', brotliDecompressSync],
      ['gzip', gunzipSync],
    ] as const) {
      const response = await get(coding);
      const body = Buffer.from(await response.arrayBuffer());
      expect(response.headers.get('content-encoding')).toBe(coding);
      expect(response.headers.get('content-length')).toBe(String(body.length));
      expect(response.headers.get('etag')).toMatch(new RegExp(`^"[0-9a-f]{32}-${coding}"$`));
      expect(response.headers.get('vary')).toBe('Authorization, Accept-Encoding');
      expect(decompress(body).equals(plain)).toBe(true);
      expect(body.length).toBeLessThan(plain.length / 5);
      await get(coding);
    }
    expect(compressions()).toBe(2);
  });

  it('is a 304 for its own tag only, and says what it varies by', async () => {
    const { get } = await setUp();
    const tagOf = async (coding: string) => (await get(coding)).headers.get('etag') ?? '';
    const [plain, br] = [await tagOf('identity'), await tagOf('br')];
    const unchanged = await get('br', { 'if-none-match': br });
    expect(unchanged.status).toBe(304);
    expect(unchanged.headers.get('etag')).toBe(br);
    expect(unchanged.headers.get('vary')).toBe('Authorization, Accept-Encoding');
    expect(unchanged.headers.has('content-encoding')).toBe(false);
    expect((await get('br', { 'if-none-match': plain })).status).toBe(200);
    expect((await get('identity', { 'if-none-match': br })).status).toBe(200);
    expect((await get('identity', { 'if-none-match': plain })).status).toBe(304);
  });

  it('has the same headers for HEAD', async () => {
    const { service, get } = await setUp();
    const got = await get('br');
    const head = await service.get('/imagecaches', { method: 'HEAD', headers: { 'accept-encoding': 'br' } });
    const headersOf = (response: Response) =>
      Object.fromEntries(
        [...response.headers].filter(([name]) => name !== 'x-request-id' && name !== 'cache-status'),
      );
    expect(headersOf(head)).toEqual(headersOf(got));
    expect(await head.text()).toBe('');
  });

  it('keeps the headers of a hit and of a derived answer apart, though their bytes are the same', async () => {
    const { service, get } = await setUp();
    const images = Array.from(
      { length: 40 },
      (_, index) => `swr.cn-north-4.myhuaweicloud.com/team/web:${index}`,
    );
    service.upstream = () => vendorList(vendorEntry('web-base', { images }));
    await get('br', {}, '/imagecaches?name=web-base');
    const hit = await get('br', {}, '/imagecaches?name=web-base');
    await service.clock.advance(1000);
    await get('br');
    const derived = await get('br', {}, '/imagecaches?name=web-base');
    expect(hit.headers.get('etag')).toBe(derived.headers.get('etag'));
    expect(hit.headers.get('cache-status')).toMatch(/^imagecaches; hit; ttl=\d+$/);
    expect(derived.headers.get('cache-status')).toMatch(/^imagecaches; hit; ttl=\d+; detail=derived$/);
  });

  it('is sent as it is where the runtime does not compress', async () => {
    const { get } = await createTestService();
    const response = await get('/imagecaches', { headers: { 'accept-encoding': 'br' } });
    expect(response.headers.has('content-encoding')).toBe(false);
    expect(response.headers.get('vary')).toBe('Authorization');
  });
});
