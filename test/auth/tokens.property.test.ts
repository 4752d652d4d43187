import fc from 'fast-check';
import { base64url, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { TEST_AUDIENCE, TEST_ISSUER, TEST_SCOPE } from '../support/test-keys.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

let service: TestService;
let good: string;

beforeAll(async () => {
  service = await createTestService();
  good = await service.token();
  expect(await statusFor(`Bearer ${good}`)).toBe(200);
});

async function statusFor(authorization: string): Promise<number> {
  const response = await service.app.request('/imagecaches', { headers: { authorization } });
  return response.status;
}

/** What a header may hold: visible Latin-1, spaces and tabs. */
const headerText = fc
  .array(
    fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f),
    { maxLength: 300 },
  )
  .map((codes) => String.fromCharCode(...codes));

const json = (value: unknown) => base64url.encode(new TextEncoder().encode(JSON.stringify(value) ?? 'null'));

describe('whatever is sent as a token', () => {
  it('is refused with 401 when it is any text at all', async () => {
    await fc.assert(
      fc.asyncProperty(headerText, fc.boolean(), async (text, withScheme) => {
        expect(await statusFor(withScheme ? `Bearer ${text}` : text)).toBe(401);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused when one character of a good token is another', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.constantFrom(...alphabet), async (index, letter) => {
        const changed = good.slice(0, index) + letter + good.slice(index + 1);
        // The last letter of a segment holds bits that decoding drops: then it is the same token.
        const bytes = (token: string) =>
          token.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'));
        fc.pre(String(bytes(changed)) !== String(bytes(good)));
        expect(await statusFor(`Bearer ${changed}`)).toBe(401);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused when header and payload are any JSON', async () => {
    const headers = fc.oneof(
      fc.jsonValue(),
      fc.record({ alg: fc.constantFrom('none', 'None', 'HS256', 'RS256', 'ES256', ''), kid: fc.jsonValue() }),
    );
    const claims = fc.oneof(
      fc.jsonValue(),
      fc.record({
        iss: fc.constantFrom(TEST_ISSUER, ''),
        aud: fc.constantFrom(TEST_AUDIENCE, '', null),
        exp: fc.oneof(fc.double(), fc.string()),
        scope: fc.constantFrom(TEST_SCOPE, null),
      }),
    );
    await fc.assert(
      fc.asyncProperty(headers, claims, fc.string({ maxLength: 400 }), async (header, payload, signature) => {
        const token = `${json(header)}.${json(payload)}.${base64url.encode(signature)}`;
        expect(await statusFor(`Bearer ${token}`)).toBe(401);
      }),
      { numRuns: 500 },
    );
  });

  it('never breaks the service when a trusted issuer signs any claims', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom('iss', 'aud', 'sub', 'exp', 'nbf', 'iat', 'scope', 'scp', 'x'),
          fc.jsonValue(),
        ),
        fc.boolean(),
        async (claims, isOtherwiseGood) => {
          const base = isOtherwiseGood
            ? { iss: TEST_ISSUER, aud: TEST_AUDIENCE, exp: Math.floor(service.clock.now() / 1000) + 60 }
            : {};
          const token = await new SignJWT({ ...base, ...claims })
            .setProtectedHeader({ alg: 'RS256', kid: service.key.kid })
            .sign(service.key.privateKey);
          expect([200, 401, 403]).toContain(await statusFor(`Bearer ${token}`));
        },
      ),
      { numRuns: 200 },
    );
  });
});
