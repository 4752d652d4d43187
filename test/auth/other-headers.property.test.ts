import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createTestService } from '../support/test-service.ts';

/** Headers that some servers take for a caller's identity, or for another request. */
const TEMPTING = [
  'cookie',
  'forwarded',
  'host',
  'origin',
  'proxy-authorization',
  'x-auth-token',
  'x-access-token',
  'x-api-key',
  'x-authenticated-user',
  'x-authorization',
  'x-forwarded-authorization',
  'x-forwarded-email',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-user',
  'x-http-method-override',
  'x-original-url',
  'x-real-ip',
  'x-remote-user',
  'x-rewrite-url',
  'x-sdk-date',
  'x-security-token',
  'x-user',
];
/** They are meant to change the answer, though not the caller. */
const MEANT = ['authorization', 'cache-control', 'if-none-match', 'x-request-id'];

it('no combination of other headers changes who the caller is, or lets anyone in', async () => {
  const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' });
  const token = await service.token();
  const other = await service.token({ sub: 'somebody-else' });
  const name = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...TEMPTING) },
    fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).filter((text) => !MEANT.includes(text)),
  );
  const value = fc.oneof(
    fc.constantFrom('admin', '127.0.0.1', `Bearer ${other}`, other, '/livez', 'DELETE', 'for=127.0.0.1'),
    fc.stringMatching(/^[!-~]{1,40}$/),
  );
  const headers = fc.dictionary(name, value, { maxKeys: 8 });
  const expected = await (await service.get('/imagecaches')).text();
  await fc.assert(
    fc.asyncProperty(headers, async (more) => {
      const known = await service.app.request('/imagecaches', {
        headers: { ...more, authorization: `Bearer ${token}` },
      });
      expect([known.status, await known.text()]).toEqual([200, expected]);
      expect(service.logger.lines.at(-1)?.fields).toMatchObject({
        subject: 'service-a',
        access: 'granted',
        method: 'GET',
        route: '/imagecaches',
      });
      const unknown = await service.app.request('/imagecaches', { headers: more });
      expect(unknown.status).toBe(401);
      expect(service.logger.lines.at(-1)?.fields).toMatchObject({ subject: undefined, access: 'refused' });
    }),
    { numRuns: 300 },
  );
});
