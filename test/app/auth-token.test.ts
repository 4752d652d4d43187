import { beforeEach, describe, expect, it } from 'vitest';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

let service: TestService;
let inFile: string;

beforeEach(async () => {
  inFile = 'PLANTEDtoken1\n';
  service = await createTestService(
    {
      HUAWEICLOUD_SDK_AK: undefined,
      HUAWEICLOUD_SDK_SK: undefined,
      CCE_AUTH_TOKEN: 'PLANTEDtoken1',
      CCE_AUTH_TOKEN_FILE: '/token',
      HUAWEICLOUD_SDK_PROJECT_ID: 'project',
      CACHE_TTL_SECONDS: '1',
      CACHE_STALE_WHILE_REVALIDATE_SECONDS: '0',
      CACHE_STALE_IF_ERROR_SECONDS: '0',
    },
    { readTextFile: async () => inFile },
  );
  service.upstream = ({ headers }) =>
    headers.get('x-auth-token') === accepted
      ? vendorList(vendorEntry())
      : Response.json(
          { error_code: 'APIGW.0301', error_msg: `decrypt token fail: ${headers.get('x-auth-token')}` },
          { status: 401 },
        );
  accepted = 'PLANTEDtoken1';
});

let accepted: string;

async function status(): Promise<number> {
  const response = await service.get('/imagecaches');
  expect(await response.text()).not.toContain('PLANTED');
  return response.status;
}

const sent = () => service.calls.map(({ headers }) => headers.get('x-auth-token'));

describe('a token in a file', () => {
  it('is sent in place of a signature', async () => {
    expect(await status()).toBe(200);
    const names = [...(service.calls[0]?.headers.keys() ?? [])];
    expect(names.toSorted()).toEqual(['accept', 'x-auth-token', 'x-project-id']);
  });

  it('that has changed is in use within a second, and no call is lost', async () => {
    expect(await status()).toBe(200);
    inFile = 'PLANTEDtoken2';
    accepted = 'PLANTEDtoken2';
    await service.clock.advance(2000);
    expect(await status()).toBe(200);
    expect(sent()).toEqual(['PLANTEDtoken1', 'PLANTEDtoken2']);
  });

  it('is read again once when the vendor rejects it, and the call is made again', async () => {
    expect(await status()).toBe(200);
    await service.clock.advance(2000);
    service.upstream = ({ headers }) => {
      // It is replaced while a call with the old one is on its way.
      inFile = 'PLANTEDtoken2';
      return headers.get('x-auth-token') === 'PLANTEDtoken2'
        ? vendorList(vendorEntry())
        : new Response('{}', { status: 401 });
    };
    expect(await status()).toBe(200);
    expect(sent()).toEqual(['PLANTEDtoken1', 'PLANTEDtoken1', 'PLANTEDtoken2']);
  });

  it('that was never accepted has one call in 5 minutes, until it is replaced', async () => {
    accepted = 'PLANTEDtoken2';
    for (let second = 0; second < 290; second += 10) {
      expect(await status()).toBe(502);
      await service.clock.advance(10_000);
    }
    expect(sent()).toEqual(['PLANTEDtoken1']);
    inFile = 'PLANTEDtoken2';
    // A pause of the cache may last for up to 60 seconds.
    await service.clock.advance(60_000);
    expect(await status()).toBe(200);
    expect(sent()).toEqual(['PLANTEDtoken1', 'PLANTEDtoken2']);
  });

  it('that is rejected after it was accepted has two calls in 5 minutes', async () => {
    expect(await status()).toBe(200);
    accepted = 'none';
    for (let second = 0; second < 240; second += 10) {
      await service.clock.advance(10_000);
      expect(await status()).toBe(502);
    }
    expect(sent()).toEqual(['PLANTEDtoken1', 'PLANTEDtoken1', 'PLANTEDtoken1']);
    const causes = service.logger.lines.map(({ fields }) => fields.cause);
    expect(causes).toContain('the vendor does not accept the token');
  });

  it.each([
    '{}',
    '<html>401</html>',
    '{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information"}',
  ])('is named as the cause of a 401 that gives none: %s', async (body) => {
    service.upstream = () => new Response(body, { status: 401 });
    expect(await status()).toBe(502);
    const causes = service.logger.lines.map(({ fields }) => fields.cause);
    expect(causes.filter((cause) => cause !== undefined)).toEqual(['the vendor does not accept the token']);
  });

  it('is in no line of the log', async () => {
    accepted = 'none';
    await status();
    inFile = 'PLANTEDtoken 3';
    await service.clock.advance(2000);
    await status();
    expect(service.logger.lines.length).toBeGreaterThan(2);
    expect(JSON.stringify(service.logger.lines)).not.toContain('PLANTED');
  });
});
