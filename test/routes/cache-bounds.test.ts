import { expect, it } from 'vitest';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

/** Answers each name with one entry of about so many bytes. */
async function createServiceOf(bytes: number, environment: Record<string, string>): Promise<TestService> {
  const service = await createTestService(environment);
  const images = Array.from({ length: bytes / 1000 }, () => 'i'.repeat(1000));
  service.upstream = ({ url }) => vendorList(vendorEntry(url.searchParams.get('name') ?? 'any', { images }));
  return service;
}

/** How many calls to upstream it takes to ask for these names. */
async function callsFor(service: TestService, names: readonly string[]): Promise<number> {
  const before = service.calls.length;
  for (const name of names) expect((await service.get(`/imagecaches?name=${name}`)).status).toBe(200);
  return service.calls.length - before;
}

it('CACHE_MAX_ENTRIES lists are held: the one not asked for longest goes first', async () => {
  const service = await createServiceOf(1000, { CACHE_MAX_ENTRIES: '3' });
  expect(await callsFor(service, ['a', 'b', 'c'])).toBe(3);
  expect(await callsFor(service, ['a', 'b', 'c'])).toBe(0);
  expect(await callsFor(service, ['d'])).toBe(1);
  expect(await callsFor(service, ['d', 'c', 'b'])).toBe(0);
  expect(await callsFor(service, ['a'])).toBe(1);
});

it('CACHE_MAX_BYTES are held, with what each list takes besides its bytes', async () => {
  const service = await createServiceOf(29_000, { CACHE_MAX_BYTES: '65536' });
  expect(await callsFor(service, ['a', 'b'])).toBe(2);
  expect(await callsFor(service, ['a', 'b'])).toBe(0);
  expect(await callsFor(service, ['c'])).toBe(1);
  expect(await callsFor(service, ['b', 'c'])).toBe(0);
  expect(await callsFor(service, ['a'])).toBe(1);
});

it('a list of more than CACHE_MAX_BYTES is served, and not held', async () => {
  const service = await createServiceOf(70_000, { CACHE_MAX_BYTES: '65536' });
  expect(await callsFor(service, ['a', 'a', 'a'])).toBe(3);
});
