import { createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { TEST_ISSUER } from '../support/test-keys.ts';
import {
  attempt,
  bearer,
  createAttackedService,
  expectAccepted,
  expectAsked,
  expectForbidden,
  expectRefused,
  MALFORMED_CHALLENGE,
  theRefusal,
} from './attack-harness.ts';
import {
  ATTACKER,
  base64url,
  claims,
  claimsAfter,
  claimsBefore,
  fixed,
  hmac,
  KEY_SET,
  KEYS,
  NO_SIGNATURE,
  NOW_SECONDS,
  PUBLISHED_SECRET,
  type RawKey,
  signer,
  token,
  tokenOf,
  tokenOfLength,
  tokenWhere,
  without,
} from './raw-token.ts';

/**
 * Every token here is good but for the one thing its name says, so that it cannot be refused for another. What
 * is accepted although it looks odd stands beside it, with the reason.
 */
type Tokens = Readonly<Record<string, () => string>>;

function refused(tokens: Tokens): void {
  it.each(Object.entries(tokens))('refuses %s', async (_name, make) => {
    await expectRefused({ headers: bearer(make()) });
  });
}

function accepted(tokens: Tokens): void {
  it.each(Object.entries(tokens))('accepts %s', async (_name, make) => {
    await expectAccepted({ headers: bearer(make()) });
  });
}

function forbids(tokens: Tokens): void {
  it.each(Object.entries(tokens))('forbids %s', async (_name, make) => {
    await expectForbidden({ headers: bearer(make()) });
  });
}

/** One token for each value, named after it. */
function each(prefix: string, values: readonly unknown[], make: (value: unknown) => string): Tokens {
  const name = (value: unknown) => (JSON.stringify(value) ?? 'undefined').slice(0, 60);
  return Object.fromEntries(values.map((value) => [`${prefix} ${name(value)}`, () => make(value)]));
}

const withClaim = (name: string) => (value: unknown) => token({ payload: claims({ [name]: value }) });
const withHeader = (more: Record<string, unknown>) => token({ header: { alg: 'RS256', kid: 'rs', ...more } });

describe('what every refused token gets', () => {
  it('says that the token is not valid and nothing else', async () => {
    const { status, headers, body } = await theRefusal();
    expect(status).toBe(401);
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': 'application/problem+json',
      'www-authenticate': MALFORMED_CHALLENGE,
    });
    expect(JSON.parse(body)).toEqual({
      type: 'urn:imagecaches-bff:problem:unauthenticated',
      title: 'Authentication required',
      status: 401,
      detail: 'the token is not valid here',
      instance: 'attack',
      code: 'unauthenticated',
    });
  });
});

describe('the controls: good tokens made by hand', () => {
  accepted({
    RS256: () => tokenOf('RS256', KEYS.rs),
    PS256: () => tokenOf('PS256', KEYS.ps),
    ES256: () => tokenOf('ES256', KEYS.es),
    EdDSA: () => tokenOf('EdDSA', KEYS.ed),
    // A key that names no algorithm is good for every configured one of its type.
    'RS256 with a key that names no algorithm': () => tokenOf('RS256', KEYS.rsaAny),
    'PS256 with the same key': () => tokenOf('PS256', KEYS.rsaAny),
    'ES256 with a key that names no algorithm': () => tokenOf('ES256', KEYS.ecAny),
    'EdDSA with a key that names no algorithm': () => tokenOf('EdDSA', KEYS.edAny),
    // The key set has three keys that fit: each is tried.
    'RS256 without a key id': () => token({ header: { alg: 'RS256' }, sign: signer('RS256', KEYS.rsa3) }),
    'ES256 without a key id': () => tokenOf('ES256', KEYS.ecAny, { header: { alg: 'ES256' } }),
  });
});

describe('alg', () => {
  const spellings = ['none', 'None', 'NONE', 'nOnE', 'none ', ' none', 'none\u0000', '', null, 0, 7, true];
  const others = [['none'], ['RS256'], { alg: 'RS256' }, [], {}];
  refused(
    each('no signature and alg', [...spellings, ...others], (alg) =>
      token({ header: { alg, kid: 'rs' }, sign: NO_SIGNATURE }),
    ),
  );
  refused(
    each('the good signature and alg', [...spellings, ...others], (alg) =>
      token({ header: { alg, kid: 'rs' } }),
    ),
  );
  refused({
    'no signature and no alg': () => token({ header: { kid: 'rs' }, sign: NO_SIGNATURE }),
    'the good signature and no alg': () => token({ header: { kid: 'rs' } }),
    'an alg that only a prototype would have': () =>
      token({ header: '{"__proto__":{"alg":"RS256"},"kid":"rs"}' }),
    'an empty header': () => token({ header: {} }),
    'alg none without a key id': () => token({ header: { alg: 'none' }, sign: NO_SIGNATURE }),
  });
  // As names of algorithms are case-sensitive (RFC 7515, section 4.1.1), none of these is RS256.
  refused(
    each(
      'the good signature under the name',
      [
        ...['rs256', 'Rs256', 'RS256 ', ' RS256', 'RS256\u0000', 'RS-256', 'RSA256', 'RSASSA-PKCS1-v1_5'],
        ...['sha256WithRSAEncryption', '__proto__', 'constructor', 'toString', 'hasOwnProperty'],
      ],
      (alg) => token({ header: { alg, kid: 'rs' } }),
    ),
  );
  refused({
    // jose can check all of these; they are not configured.
    'RS384, which is not configured': () => tokenOf('RS384', KEYS.rsaAny),
    'RS512, which is not configured': () => tokenOf('RS512', KEYS.rsaAny),
    'PS384, which is not configured': () => tokenOf('PS384', KEYS.rsaAny),
    'PS512, which is not configured': () => tokenOf('PS512', KEYS.rsaAny),
    'ES384, which is not configured': () => tokenOf('ES384', KEYS.p384),
    // RFC 9864 gave EdDSA on this curve a name of its own; who wants it configures it.
    'Ed25519, which is not configured': () =>
      token({ header: { alg: 'Ed25519', kid: 'ed-any' }, sign: signer('EdDSA', KEYS.edAny) }),
    'ES256K, which does not exist here': () =>
      token({ header: { alg: 'ES256K', kid: 'ec-any' }, sign: signer('ES256', KEYS.ecAny) }),
    'HS256 with a secret that the key set contains': () =>
      token({ header: { alg: 'HS256', kid: 'oct' }, sign: hmac('sha256', PUBLISHED_SECRET) }),
    'an RS256 signature by a key published for encryption': () => withHeader({ kid: 'enc' }),
  });

  it('accepts RS512 where that is what is configured, and then no longer RS256', async () => {
    const environment = { AUTH_ALGORITHMS: 'RS512' };
    await expectAccepted({ environment, headers: bearer(tokenOf('RS512', KEYS.rsaAny)) });
    await expectRefused({ environment, headers: bearer(tokenOf('RS256', KEYS.rsaAny)) });
  });
});

describe('a public key taken for a shared secret', () => {
  /** Everything that a careless verifier could pass on as the key. */
  function secretsOf(key: RawKey): Record<string, Buffer> {
    const publicKey = createPublicKey(key.privateKey);
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const jwk = publicKey.export({ format: 'jwk' });
    const coordinates = Object.entries({ n: jwk.n, x: jwk.x, y: jwk.y }).filter(([, value]) => value);
    return {
      'the PEM': Buffer.from(pem),
      'the PEM without its last line end': Buffer.from(pem.trimEnd()),
      'the PEM with CRLF': Buffer.from(pem.replaceAll('\n', '\r\n')),
      'the SPKI DER': publicKey.export({ type: 'spki', format: 'der' }),
      'the JWK as published': Buffer.from(JSON.stringify(key.publicJwk)),
      'the bare JWK': Buffer.from(JSON.stringify(jwk)),
      'the key set': Buffer.from(JSON.stringify(KEY_SET)),
      'the key id': Buffer.from(key.kid),
      ...Object.fromEntries(
        coordinates.flatMap(([name, value]) => [
          [`the bytes of ${name}`, Buffer.from(value as string, 'base64url')],
          [`the text of ${name}`, Buffer.from(value as string)],
        ]),
      ),
      nothing: Buffer.alloc(0),
      'a zero byte': Buffer.alloc(1),
    };
  }
  const tokens: Record<string, () => string> = {};
  for (const key of [KEYS.rs, KEYS.rsaAny, KEYS.es, KEYS.ecAny, KEYS.ed]) {
    for (const [name, secret] of Object.entries(secretsOf(key))) {
      for (const bits of ['256', '384', '512']) {
        const sign = hmac(`sha${bits}`, secret);
        tokens[`HS${bits} with ${name} of ${key.kid}`] = () =>
          token({ header: { alg: `HS${bits}`, kid: key.kid }, sign });
        // Under the key's own algorithm, in case the verifier only looks at that.
        if (bits === '256')
          tokens[`an HMAC with ${name} called ${key.kid}'s own algorithm`] = () =>
            token({ header: { alg: key.publicJwk.alg ?? 'RS256', kid: key.kid }, sign });
      }
    }
  }
  refused(tokens);
});

describe('a key of another type or use', () => {
  refused({
    'an EC token under an RSA key id': () =>
      tokenOf('ES256', KEYS.es, { header: { alg: 'ES256', kid: 'rs' } }),
    'an EC token under an RSA key id without alg': () =>
      tokenOf('ES256', KEYS.ecAny, { header: { alg: 'ES256', kid: 'rsa-any' } }),
    'an EdDSA token under an EC key id': () =>
      tokenOf('EdDSA', KEYS.ed, { header: { alg: 'EdDSA', kid: 'es' } }),
    'an EdDSA token under an EC key id without alg': () =>
      tokenOf('EdDSA', KEYS.edAny, { header: { alg: 'EdDSA', kid: 'ec-any' } }),
    'an RSA token under an Ed25519 key id': () => withHeader({ kid: 'ed' }),
    'an ES256 token under a P-384 key id': () =>
      tokenOf('ES256', KEYS.ecAny, { header: { alg: 'ES256', kid: 'p-384' } }),
    'ES256 signed with a P-384 key': () =>
      token({ header: { alg: 'ES256', kid: 'p-384' }, sign: signer('ES256', KEYS.p384) }),
    'PS256 by a key published for RS256': () => tokenOf('PS256', KEYS.rs),
    'RS256 by a key published for PS256': () => tokenOf('RS256', KEYS.ps),
    'a PSS signature called RS256': () =>
      token({ header: { alg: 'RS256', kid: 'rsa-any' }, sign: signer('PS256', KEYS.rsaAny) }),
    'a PKCS #1 signature called PS256': () =>
      token({ header: { alg: 'PS256', kid: 'rsa-any' }, sign: signer('RS256', KEYS.rsaAny) }),
    'a SHA-512 signature called RS256': () =>
      token({ header: { alg: 'RS256', kid: 'rsa-any' }, sign: signer('RS512', KEYS.rsaAny) }),
    'a signature by another key of the same set': () => withHeader({ kid: 'rsa-any' }),
    'a signature by a stranger under a known key id': () => token({ sign: signer('RS256', ATTACKER.rs) }),
    'a signature by a stranger without a key id': () =>
      token({ header: { alg: 'RS256' }, sign: signer('RS256', ATTACKER.rs) }),
    'an EC signature by a stranger': () => tokenOf('ES256', KEYS.es, { sign: signer('ES256', ATTACKER.es) }),
    'an Ed25519 signature by a stranger': () =>
      tokenOf('EdDSA', KEYS.ed, { sign: signer('EdDSA', ATTACKER.ed) }),
  });
});

describe('kid', () => {
  const strange = [
    ...['../../../../dev/null', '/dev/null', 'file:///etc/passwd', '..\\..\\rs', './rs', 'rs/../rs', 'rs%00'],
    ...[
      "' OR '1'='1",
      "rs' UNION SELECT 'secret' --",
      'rs; rm -rf /',
      '$(id)',
      '`id`',
      '|id',
      '*',
      '.*',
      '%',
    ],
    ...['RS', 'rs ', ' rs', 'rs\u0000', 'rs\n', 'r', '', 'undefined', 'null', '0', 'length'],
    ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'],
    ...[['rs'], [], { kid: 'rs' }, {}, 0, 1, -1, 1e308, true, false, null],
  ];
  refused(each('the good signature and kid', strange, (kid) => withHeader({ kid })));
  // With the key that the attacker would like to be found there: an empty file, an empty secret, a zero.
  refused(
    each('an HMAC with nothing and kid', ['/dev/null', '', '__proto__', "' UNION SELECT ''", null], (kid) =>
      token({ header: { alg: 'HS256', kid }, sign: hmac('sha256', '') }),
    ),
  );
  refused({
    'a kid of 10 KiB': () => withHeader({ kid: 'k'.repeat(10_240) }),
    'a kid of 64 KiB': () => withHeader({ kid: 'k'.repeat(65_536) }),
    'a kid of 3000 levels': () =>
      token({ header: `{"alg":"RS256","kid":${'['.repeat(3000)}${']'.repeat(3000)}}` }),
  });

  it('is compared with strings only, even where the key set has other kinds', async () => {
    for (const kid of [7, null, true, ['rs']]) {
      const keySet = { keys: [{ ...KEYS.rs.publicJwk, kid }] };
      await expectRefused({ keySet, headers: bearer(withHeader({ kid })) });
    }
  });
});

describe('keys and key locations inside the token', () => {
  const evil = 'https://evil.test/keys';
  const { kid, ...jwk } = ATTACKER.rs.publicJwk;
  const certificate = base64url(randomBytes(64));
  const embedded: Record<string, Record<string, unknown>> = {
    'jwk alone': { jwk, kid: undefined },
    'jwk under a known key id': { jwk: { ...jwk, kid: 'rs' } },
    'jwk under its own key id': { jwk: ATTACKER.rs.publicJwk, kid: 'attacker' },
    'jwk of a private key': { jwk: ATTACKER.rs.privateKey.export({ format: 'jwk' }) },
    'jwk that is a shared secret': { jwk: { kty: 'oct', k: base64url('secret') } },
    jku: { jku: evil },
    'jku alone': { jku: evil, kid: undefined },
    'jku at the host of the issuer': { jku: `${TEST_ISSUER}/evil.json` },
    'jku to this very machine': { jku: 'http://127.0.0.1:1/keys', kid: 'other' },
    'jku to the metadata service': { jku: 'http://169.254.169.254/openstack/latest', kid: 'other' },
    x5u: { x5u: evil },
    'x5u alone': { x5u: evil, kid: undefined },
    'x5u of a file': { x5u: 'file:///etc/passwd', kid: 'other' },
    x5c: { x5c: [certificate] },
    'x5c alone': { x5c: [certificate], kid: undefined },
    x5t: { x5t: certificate, 'x5t#S256': certificate },
    'all of them': { jwk, jku: evil, x5u: evil, x5c: [certificate], x5t: certificate, kid: undefined },
  };
  refused(
    Object.fromEntries(
      Object.entries(embedded).map(([name, more]) => [
        name,
        () =>
          token({
            header: JSON.parse(JSON.stringify({ alg: 'RS256', kid: 'rs', ...more })),
            sign: signer('RS256', ATTACKER.rs),
          }),
      ]),
    ),
  );
  // Nothing looks at them, so they do not harm a token that the issuer signed.
  accepted(
    Object.fromEntries(
      ['jwk', 'jku', 'x5u', 'x5c'].map((name) => [
        `a good token that carries ${name}`,
        () => withHeader({ [name]: embedded[name === 'jwk' ? 'jwk alone' : name]?.[name] }),
      ]),
    ),
  );

  it('asks no one but the configured issuer, whatever a token points at', async () => {
    const service = await createAttackedService();
    for (const more of Object.values(embedded)) {
      for (const sign of [signer('RS256', ATTACKER.rs), signer('RS256', KEYS.rs)]) {
        const header = JSON.parse(JSON.stringify({ alg: 'RS256', kid: 'other', ...more }));
        await service.clock.advance(60_000);
        const response = await service.app.request('/imagecaches', {
          headers: bearer(token({ header, sign, payload: claims({ exp: NOW_SECONDS + 86_400 }) })),
        });
        expect([200, 401]).toContain(response.status);
      }
    }
    await Promise.all(service.background);
    expect(new Set(service.keyCalls)).toEqual(new Set([`${TEST_ISSUER}/jwks.json`]));
    for (const { url } of service.calls) expect(url.host).toBe('cce.example.test');
  });
});

describe('crit, b64, zip, typ and cty', () => {
  refused({
    'crit with an unknown name': () => withHeader({ crit: ['exp'], exp: 1 }),
    'crit with an unknown name that is absent': () => withHeader({ crit: ['http://example.test/x'] }),
    'crit with a registered name': () => withHeader({ crit: ['alg'] }),
    'crit with a name of every object': () => withHeader({ crit: ['__proto__'], toString: 1 }),
    'crit that is empty': () => withHeader({ crit: [] }),
    'crit that is text': () => withHeader({ crit: 'b64', b64: true }),
    'crit that is null': () => withHeader({ crit: null }),
    'crit that is an object': () => withHeader({ crit: {} }),
    'crit with an empty name': () => withHeader({ crit: [''] }),
    'crit with a number': () => withHeader({ crit: [1] }),
    'crit with b64 that is absent': () => withHeader({ crit: ['b64'] }),
    'crit with b64 that is no boolean': () => withHeader({ crit: ['b64'], b64: 'false' }),
    'b64 false, encoded all the same': () => withHeader({ crit: ['b64'], b64: false }),
    'b64 false, signed as if it were not encoded': () => {
      const header = base64url(JSON.stringify({ alg: 'RS256', kid: 'rs', crit: ['b64'], b64: false }));
      const payload = JSON.stringify(claims());
      const signature = signer('RS256', KEYS.rs)(Buffer.from(`${header}.${payload}`));
      return `${header}.${base64url(payload)}.${base64url(signature)}`;
    },
    'b64 false without crit, not encoded': () => {
      const header = base64url(JSON.stringify({ alg: 'RS256', kid: 'rs', b64: false }));
      const payload = JSON.stringify(claims()).replaceAll('.', '\\u002e');
      const signature = signer('RS256', KEYS.rs)(Buffer.from(`${header}.${payload}`));
      return `${header}.${payload}.${base64url(signature)}`;
    },
    'cty JWT with a token inside': () =>
      token({ header: { alg: 'RS256', kid: 'rs', cty: 'JWT' }, payload: token() }),
    'zip with a payload that is deflated': () =>
      token({
        header: { alg: 'RS256', kid: 'rs', zip: 'DEF' },
        payload: Buffer.from('789c030000000001', 'hex'),
      }),
  });
  accepted({
    // RFC 7797, section 7: true is what a JWT is anyway.
    'b64 true': () => withHeader({ crit: ['b64'], b64: true }),
    // An unknown member that is not critical means nothing (RFC 7515, section 4); the payload is encoded.
    'b64 false without crit, encoded': () => withHeader({ b64: false }),
    zip: () => withHeader({ zip: 'DEF' }),
    'cty JWT with claims inside': () => withHeader({ cty: 'JWT' }),
  });
  // The type is not asked for: Kubernetes sets none, Keycloak and Entra set JWT, RFC 9068 has at+jwt, and there
  // is no value common to all. The audience and the scope tell an access token from any other: an id token is
  // for its client's audience and has no scope.
  accepted(
    each(
      'typ',
      ['JWT', 'jwt', 'at+jwt', 'application/at+jwt', 'AT+JWT', 'JOSE', 'dpop+jwt', 'x', '', null, 7, ['JWT']],
      (typ) => withHeader({ typ }),
    ),
  );
  forbids({
    'an id token, which has no scope': () => tokenOf('RS256', KEYS.rs, { payload: without('scope') }),
  });
});

describe('members given twice', () => {
  // The last one counts, as for every ECMAScript parser and as RFC 7515, section 4, allows. What matters is that
  // the look for the issuer and the check of the claims read the same one.
  refused({
    'alg, none last': () => token({ header: '{"alg":"RS256","kid":"rs","alg":"none"}' }),
    'alg, none last and no signature': () =>
      token({ header: '{"alg":"RS256","kid":"rs","alg":"none"}', sign: NO_SIGNATURE }),
    'alg, none first and no signature': () =>
      token({ header: '{"alg":"none","kid":"rs","alg":"RS256"}', sign: NO_SIGNATURE }),
    'kid, a stranger last': () => token({ header: '{"alg":"RS256","kid":"rs","kid":"other"}' }),
    'iss, a stranger last': () => token({ payload: claimsBefore('"iss":"https://evil.test"') }),
    'iss, null last': () => token({ payload: claimsBefore('"iss":null') }),
    'aud, another last': () => token({ payload: claimsBefore('"aud":"other"') }),
    'exp, past last': () => token({ payload: claimsBefore('"exp":1') }),
    'exp, text last': () => token({ payload: claimsBefore('"exp":"9999999999"') }),
    'nbf, future last': () => token({ payload: claimsBefore('"nbf":1,"nbf":9999999999') }),
    'good claims first, signed by a stranger': () =>
      token({ payload: claimsBefore('"iss":"https://evil.test"'), sign: signer('RS256', ATTACKER.rs) }),
  });
  forbids({
    'scope, another last': () => token({ payload: claimsBefore('"scope":"other"') }),
  });
  accepted({
    'alg, none first': () => token({ header: '{"alg":"none","kid":"rs","alg":"RS256"}' }),
    'kid, a stranger first': () => token({ header: '{"alg":"RS256","kid":"other","kid":"rs"}' }),
    'iss, a stranger first': () => token({ payload: claimsAfter('"iss":"https://evil.test"') }),
    'aud, another first': () => token({ payload: claimsAfter('"aud":"other"') }),
    'exp, past first': () => token({ payload: claimsAfter('"exp":1') }),
    'scope, another first': () => token({ payload: claimsAfter('"scope":"other"') }),
    'sub, another first': () => token({ payload: claimsAfter('"sub":"admin"') }),
  });

  it('takes the last sub', async () => {
    await expectAccepted(
      { headers: bearer(token({ payload: claimsBefore('"sub":"service-b"') })) },
      'service-b',
    );
  });
});

describe('exp, nbf and iat', () => {
  const noTime = ['', '9999999999', '1e308', 'never', null, true, [], [9_999_999_999], {}];
  refused({
    'no exp': () => token({ payload: without('exp') }),
    'an exp that only a prototype would have': () =>
      token({ payload: `{"__proto__":{"exp":9999999999},${JSON.stringify(without('exp')).slice(1)}` }),
    ...each('exp', [...noTime, 0, -0, -1, -1e308, 1e-308], withClaim('exp')),
    ...each('nbf', [...noTime, 1e308, 9_999_999_999], withClaim('nbf')),
    ...each('iat', noTime, withClaim('iat')),
    'exp 30 s ago': () => token({ payload: claims({ exp: NOW_SECONDS - 30 }) }),
    'exp 31 s ago': () => token({ payload: claims({ exp: NOW_SECONDS - 31 }) }),
    'exp 30.001 s ago': () => token({ payload: claims({ exp: NOW_SECONDS - 30.001 }) }),
    'exp in milliseconds, long ago': () => token({ payload: claims({ exp: 1_000_000_000 }) }),
    'nbf in 31 s': () => token({ payload: claims({ nbf: NOW_SECONDS + 31 }) }),
    'nbf in 30.001 s': () => token({ payload: claims({ nbf: NOW_SECONDS + 30.001 }) }),
    'exp and nbf the wrong way round': () =>
      token({ payload: claims({ nbf: NOW_SECONDS + 3600, exp: NOW_SECONDS - 3600 }) }),
  });
  accepted({
    'exp 29 s ago': () => token({ payload: claims({ exp: NOW_SECONDS - 29 }) }),
    'exp 29.999 s ago': () => token({ payload: claims({ exp: NOW_SECONDS - 29.999 }) }),
    'nbf in 30 s': () => token({ payload: claims({ nbf: NOW_SECONDS + 30 }) }),
    'nbf now': () => token({ payload: claims({ nbf: NOW_SECONDS }) }),
    'exp with a fraction': () => token({ payload: claims({ exp: NOW_SECONDS + 0.5 }) }),
    // How long its tokens live is the issuer's to say.
    'exp 1e308': () => token({ payload: claims({ exp: 1e308 }) }),
    'exp beyond every number': () => token({ payload: claimsBefore('"exp":1e999') }),
    'nbf long ago': () => token({ payload: claims({ nbf: -1e308 }) }),
    // No age is asked for, so iat says nothing; it only has to be a number (RFC 7519, section 4.1.6).
    'no iat': () => token({ payload: without('iat') }),
    'iat in an hour': () => token({ payload: claims({ iat: NOW_SECONDS + 3600 }) }),
    'iat 1e308': () => token({ payload: claims({ iat: 1e308 }) }),
    'iat negative': () => token({ payload: claims({ iat: -1 }) }),
  });

  it('holds to the millisecond, also for a token seen just before', async () => {
    const service = await createAttackedService();
    const text = token({ payload: claims({ exp: NOW_SECONDS + 10 }) });
    const status = async () => (await service.app.request('/imagecaches', { headers: bearer(text) })).status;
    expect(await status()).toBe(200);
    // jose counts whole seconds, so the last millisecond of the tolerance is one before 40 s.
    await service.clock.advance(39_999);
    expect(await status()).toBe(200);
    await service.clock.advance(1);
    expect(await status()).toBe(401);
  });

  it('does not remember a token that never ends for longer than another', async () => {
    const service = await createAttackedService();
    const text = token({ payload: claimsBefore('"exp":1e999') });
    const status = async () => (await service.app.request('/imagecaches', { headers: bearer(text) })).status;
    expect(await status()).toBe(200);
    service.issuer = () => Response.json({ keys: [ATTACKER.rs.publicJwk] });
    await service.clock.advance(600_000);
    await status();
    await Promise.all(service.background);
    expect(await status()).toBe(401);
  });
});

describe('aud', () => {
  refused({
    'no aud': () => token({ payload: without('aud') }),
    ...each(
      'aud',
      [
        ...['', 'imagecaches2', 'imagecache', 'xmagecaches', 'IMAGECACHES', 'Imagecaches', 'imagecaches/'],
        ...[' imagecaches', 'imagecaches ', 'imagecaches\u0000', 'imagecaches\n', 'imagecaches,other', '*'],
        ...[
          'imagecaches other',
          'https://imagecaches',
          'imagecaches\u200b',
          '\uff49magecaches',
          'imagecaches:read',
        ],
        ...[null, true, 0, {}, { imagecaches: true }, { 0: 'imagecaches', length: 1 }],
        ...[
          [],
          [''],
          [null],
          [0],
          [['imagecaches']],
          [{ aud: 'imagecaches' }],
          ['other'],
          ['imagecaches '],
          ['*'],
        ],
      ],
      withClaim('aud'),
    ),
  });
  accepted({
    'an array with the right one': () => token({ payload: claims({ aud: ['imagecaches'] }) }),
    'an array with the right one last': () => token({ payload: claims({ aud: ['other', 'imagecaches'] }) }),
    'an array with the right one among what is no audience': () =>
      token({ payload: claims({ aud: [null, 7, 'imagecaches'] }) }),
  });
});

describe('iss', () => {
  refused({
    'no iss': () => token({ payload: without('iss') }),
    ...each(
      'iss',
      [
        ...[
          '',
          `${TEST_ISSUER}/`,
          `${TEST_ISSUER}/a`,
          `${TEST_ISSUER}?`,
          `${TEST_ISSUER}#`,
          `${TEST_ISSUER}:443`,
        ],
        ...['http://login.example.test', 'https://LOGIN.example.test', 'HTTPS://login.example.test'],
        ...[
          'login.example.test',
          '//login.example.test',
          'https://login.example.test.',
          'https://login.example.tes',
        ],
        ...[
          'https://login.example.test.evil.test',
          'https://login.example.test@evil.test',
          ' https://login.example.test',
        ],
        ...[`${TEST_ISSUER} `, `${TEST_ISSUER}\u0000`, `${TEST_ISSUER}\n`, 'https://l\u043egin.example.test'],
        ...['__proto__', 'constructor', 'toString', 'undefined', 'null', 'https://evil.test'],
        ...[null, true, 0, {}, [], [TEST_ISSUER], { issuer: TEST_ISSUER }],
      ],
      withClaim('iss'),
    ),
    'an iss that only a prototype would have': () =>
      token({ payload: `{"__proto__":{"iss":"${TEST_ISSUER}"},${JSON.stringify(without('iss')).slice(1)}` }),
  });
});

describe('scope and sub', () => {
  forbids({
    'no scope': () => token({ payload: without('scope') }),
    ...each(
      'scope',
      [
        ...[
          '',
          ' ',
          'imagecaches:read2',
          'imagecaches:rea',
          'IMAGECACHES:READ',
          'Imagecaches:read',
          'imagecaches',
        ],
        ...[
          'imagecaches:*',
          '*',
          'imagecaches:refresh',
          'ximagecaches:read',
          'imagecaches:read/',
          'imagecaches:read:x',
        ],
        // Scopes are parted by single spaces and nothing else (RFC 6749, section 3.3).
        ...[
          'imagecaches:read\t',
          '\timagecaches:read',
          'openid\timagecaches:read',
          'openid\nimagecaches:read',
        ],
        ...[
          'imagecaches:read\n',
          'imagecaches:read\u0000',
          'openid,imagecaches:read',
          'openid+imagecaches:read',
        ],
        ...[
          'openid\u00a0imagecaches:read',
          '"imagecaches:read"',
          'imagecaches%3Aread',
          'imagecaches\uff1aread',
        ],
        ...[null, true, 0, 1, {}, { 'imagecaches:read': true }, { 0: 'imagecaches:read', length: 1 }],
        ...[
          [],
          [''],
          [null],
          [['imagecaches:read']],
          [{ scope: 'imagecaches:read' }],
          ['openid imagecaches:read'],
        ],
        ...[['IMAGECACHES:READ'], ['imagecaches:read ']],
      ],
      withClaim('scope'),
    ),
    'a scope that only a prototype would have': () =>
      token({
        payload: `{"__proto__":{"scope":"imagecaches:read"},${JSON.stringify(without('scope')).slice(1)}`,
      }),
    ...each('the scope in the claim', ['scopes', 'Scope', 'SCOPE', 'roles', 'permissions', 'scp '], (name) =>
      token({ payload: { ...without('scope'), [name as string]: 'imagecaches:read' } }),
    ),
  });
  accepted({
    'the scope among others': () => token({ payload: claims({ scope: 'openid imagecaches:read email' }) }),
    'the scope between many spaces': () => token({ payload: claims({ scope: '  imagecaches:read  ' }) }),
    'the scope in an array': () => token({ payload: claims({ scope: [7, null, 'imagecaches:read'] }) }),
    'the scope in scp': () => token({ payload: { ...without('scope'), scp: ['imagecaches:read'] } }),
    'the scope in scp, whatever scope is': () =>
      token({ payload: claims({ scope: {}, scp: 'imagecaches:read' }) }),
  });

  it.each([[['service-a']], [{ sub: 'service-a' }], [7], [null], [true]])(
    'takes the sub %j for nobody that has a name',
    async (sub) => {
      await expectAccepted({ headers: bearer(token({ payload: claims({ sub }) })) }, 'unknown');
    },
  );
});

describe('segments', () => {
  const good = () => token().split('.') as [string, string, string];
  const jwe = (keyAlgorithm: string, encryptedKey: Buffer | string) => {
    const header = base64url(
      JSON.stringify({ alg: keyAlgorithm, enc: 'A256GCM', kid: 'rsa-any', cty: 'JWT' }),
    );
    return [
      header,
      base64url(encryptedKey),
      base64url(randomBytes(12)),
      token().split('.')[1],
      'A'.repeat(22),
    ].join('.');
  };
  refused({
    none: () => '.',
    'two empty ones': () => '..',
    'one, the payload': () => good()[1],
    'two, without the signature': () => good().slice(0, 2).join('.'),
    'two, without the header': () => good().slice(1).join('.'),
    'two, without the payload': () => `${good()[0]}.${good()[2]}`,
    'three, the header empty': () => `.${good().slice(1).join('.')}`,
    'three, the payload empty': () => `${good()[0]}..${good()[2]}`,
    'three, the signature empty': () => `${good().slice(0, 2).join('.')}.`,
    'three, only the payload': () => `.${good()[1]}.`,
    'three, in another order': () => good().reverse().join('.'),
    'four, the last empty': () => `${token()}.`,
    'four, the first empty': () => `.${token()}`,
    four: () => `${token()}.${good()[2]}`,
    'five, the last two empty': () => `${token()}..`,
    five: () => `${token()}.${good()[1]}.${good()[2]}`,
    six: () => `${token()}.${token()}`,
    'a JWE for the public key': () =>
      jwe('RSA-OAEP', publicEncrypt(createPublicKey(KEYS.rsaAny.privateKey), randomBytes(32))),
    'a JWE with a direct key': () => jwe('dir', ''),
    'the payload of another token': () =>
      `${good()[0]}.${token({ payload: claims({ sub: 'admin' }) }).split('.')[1]}.${good()[2]}`,
    'the header of another token': () =>
      `${withHeader({ typ: 'JWT' }).split('.')[0]}.${good()[1]}.${good()[2]}`,
    'the flattened JSON form': () => {
      const [header, payload, signature] = good();
      return JSON.stringify({ protected: header, payload, signature });
    },
    'the general JSON form': () => {
      const [header, payload, signature] = good();
      return JSON.stringify({ payload, signatures: [{ protected: header, signature }] });
    },
  });
});

describe('base64url', () => {
  const parts = () => token().split('.') as [string, string, string];
  /** The same bytes in the alphabet of plain base64, of a token whose signature shows the difference. */
  const plain = () =>
    tokenWhere(
      (text) => /[-_]/.test(text.slice(text.lastIndexOf('.'))),
      (jti) => token({ payload: claims({ jti }) }),
    );
  const last = (text: string, change: (letter: number) => number) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return text.slice(0, -1) + alphabet[change(alphabet.indexOf(text.at(-1) as string))];
  };
  const signed = (header: string, payload: string) =>
    `${header}.${payload}.${base64url(signer('RS256', KEYS.rs)(Buffer.from(`${header}.${payload}`)))}`;
  const paddedOf = (value: unknown) => {
    // A space at the end of the JSON changes nothing but the length: one of two of them needs padding.
    const texts = ['', ' '].map((space) => Buffer.from(JSON.stringify(value) + space).toString('base64'));
    return texts.find((text) => text.endsWith('=')) as string;
  };
  refused({
    // 256 bytes leave four bits of the last letter unused. One token has one spelling only.
    'unused bits of an RSA signature set': () => last(token(), (letter) => letter | 1),
    'other unused bits of an RSA signature set': () => last(token(), (letter) => letter | 15),
    'unused bits of an EC signature set': () => last(tokenOf('ES256', KEYS.es), (letter) => letter | 1),
    'unused bits of an Ed25519 signature set': () => last(tokenOf('EdDSA', KEYS.ed), (letter) => letter | 8),
    'a padded signature': () => `${token()}==`,
    'a signature padded once': () => `${token()}=`,
    'a signature padded three times': () => `${token()}===`,
    'a padded signature of 64 bytes': () => `${tokenOf('ES256', KEYS.es)}==`,
    'a signature in the plain alphabet': () => {
      const [header, payload, signature] = plain().split('.') as [string, string, string];
      return `${header}.${payload}.${signature.replaceAll('-', '+').replaceAll('_', '/')}`;
    },
    'a letter too many': () => `${token()}A`,
    'a letter too few': () => token().slice(0, -1),
    'four letters too many': () => `${token()}AAAA`,
    'a tilde in the signature': () => `${token()}~`,
    'a space before the signature': () => `${parts()[0]}.${parts()[1]}. ${parts()[2]}`,
    'a space in the payload': () =>
      `${parts()[0]}.${parts()[1].slice(0, 8)} ${parts()[1].slice(8)}.${parts()[2]}`,
    'a tab in the signature': () =>
      `${parts()[0]}.${parts()[1]}.${parts()[2].slice(0, 8)}\t${parts()[2].slice(8)}`,
    'dots as percent signs': () => token().replaceAll('.', '%2E'),
    'a letter that is none': () => token().replace('.', '.\u00e9'),
    // Signed as they stand, so that only the encoding can be refused.
    'a padded header': () => signed(paddedOf({ alg: 'RS256', kid: 'rs' }), parts()[1]),
    'a padded payload': () => signed(parts()[0], paddedOf(claims())),
    'a payload in the plain alphabet': () =>
      signed(
        parts()[0],
        Buffer.from(JSON.stringify(claims({ x: '~~~???>>>' })))
          .toString('base64')
          .replace(/=+$/, ''),
      ),
    'unused bits of the payload set': () => {
      const payload = paddedOf(claims()).replace(/=+$/, '');
      return signed(
        parts()[0],
        last(payload.replaceAll('+', '-').replaceAll('/', '_'), (letter) => letter | 1),
      );
    },
  });
});

describe('what is signed by the issuer but is no set of claims', () => {
  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
  const utf8 = (...bytes: number[]) =>
    Buffer.concat([
      Buffer.from(JSON.stringify(claims()).slice(0, -1)),
      Buffer.from(',"x":"'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ]);
  refused({
    'no JSON': () => token({ payload: 'claims' }),
    'JSON that is cut off': () => token({ payload: JSON.stringify(claims()).slice(0, -1) }),
    'JSON and more': () => token({ payload: `${JSON.stringify(claims())}{}` }),
    'JSON with a comment': () => token({ payload: claimsBefore('/**/"x":1') }),
    'JSON with single quotes': () => token({ payload: "{'iss':'x'}" }),
    'a zero byte behind': () => token({ payload: `${JSON.stringify(claims())}\u0000` }),
    'an array': () => token({ payload: [claims()] }),
    null: () => token({ payload: 'null' }),
    'a number': () => token({ payload: '7' }),
    true: () => token({ payload: 'true' }),
    text: () => token({ payload: JSON.stringify(JSON.stringify(claims())) }),
    nothing: () => token({ payload: '' }),
    'a space': () => token({ payload: ' ' }),
    // Closed, so many levels would not fit into 16 KiB.
    '10,000 levels of arrays, open': () => token({ payload: '['.repeat(10_000) }),
    '10,000 levels of arrays, closed': () => token({ payload: '['.repeat(10_000) + ']'.repeat(10_000) }),
    '5000 levels of arrays, closed': () => token({ payload: '['.repeat(5000) + ']'.repeat(5000) }),
    '1900 levels of objects': () => token({ payload: deep(1900) }),
    'a header of 5000 levels': () => token({ header: '['.repeat(5000) + ']'.repeat(5000) }),
    'a header that is null': () => token({ header: 'null' }),
    'a header that is an array': () => token({ header: [{ alg: 'RS256', kid: 'rs' }] }),
    'a header that is text': () => token({ header: '"RS256"' }),
    'a header that is no JSON': () => token({ header: 'RS256' }),
    'a header of invalid UTF-8': () =>
      token({ header: Buffer.from('7b22616c67223a225253323536ff227d', 'hex') }),
    'invalid UTF-8': () => token({ payload: utf8(0xff) }),
    'UTF-8 that is too long': () => token({ payload: utf8(0xc0, 0xae) }),
    'half a character': () => token({ payload: utf8(0xe2, 0x82) }),
    'a surrogate in UTF-8': () => token({ payload: utf8(0xed, 0xa0, 0x80) }),
    'UTF-16': () => token({ payload: Buffer.from(`\ufeff${JSON.stringify(claims())}`, 'utf16le') }),
  });
  accepted({
    // RFC 8259, section 8.1, lets a parser overlook it, and TextDecoder does.
    'a byte order mark before the claims': () => token({ payload: `\ufeff${JSON.stringify(claims())}` }),
    'a byte order mark before the header': () => token({ header: '\ufeff{"alg":"RS256","kid":"rs"}' }),
    'white space around the claims': () => token({ payload: ` \n\t${JSON.stringify(claims())}\r\n` }),
    'a claim of 2000 levels': () =>
      token({ payload: claimsBefore(`"x":${'['.repeat(2000)}${']'.repeat(2000)}`) }),
    'a claim named __proto__': () =>
      token({ payload: claimsBefore('"__proto__":{"iss":"https://evil.test"}') }),
    'a claim named constructor': () => token({ payload: claimsBefore('"constructor":null,"toJSON":1') }),
  });
});

describe('length', () => {
  refused({
    'one byte': () => 'a',
    'three bytes': () => 'abc',
    'three bytes of dots': () => '...',
    'a byte over 16 KiB': () => tokenOfLength(16_385),
    '64 KiB': () => tokenOfLength(65_536),
    '64 KiB of dots': () => '.'.repeat(65_536),
    '16 KiB of dots': () => '.'.repeat(16_384),
    '16 KiB of padding': () => `a${'='.repeat(16_383)}`,
  });
  accepted({
    '16 KiB': () => tokenOfLength(16_384),
    'a byte less than 16 KiB': () => tokenOfLength(16_383),
  });
});

describe('the Authorization header', () => {
  const refusedValues: Readonly<Record<string, (text: string) => string>> = {
    'a tab after the scheme': (text) => `Bearer\t${text}`,
    'a space and a tab after the scheme': (text) => `Bearer \t${text}`,
    'a no-break space after the scheme': (text) => `Bearer\u00a0${text}`,
    'no space after the scheme': (text) => `Bearer${text}`,
    'a colon after the scheme': (text) => `Bearer: ${text}`,
    'an equals sign after the scheme': (text) => `Bearer=${text}`,
    'the scheme alone': () => 'Bearer',
    'no scheme': (text) => text,
    'the scheme twice': (text) => `Bearer Bearer ${text}`,
    'a longer scheme': (text) => `BearerX ${text}`,
    'a shorter scheme': (text) => `Beare ${text}`,
    'a scheme with a letter that folds to k': (text) => `bearer\u017f ${text}`.replace('\u017f', '\u00ff'),
    Basic: (text) => `Basic ${text}`,
    'Basic with the token for a password': (text) =>
      `Basic ${Buffer.from(`user:${text}`).toString('base64')}`,
    Digest: (text) => `Digest username="a", response="${text}"`,
    DPoP: (text) => `DPoP ${text}`,
    Token: (text) => `Token ${text}`,
    JWT: (text) => `JWT ${text}`,
    Negotiate: (text) => `Negotiate ${text}`,
    MAC: (text) => `MAC id="${text}"`,
    'double quotes': (text) => `Bearer "${text}"`,
    'a parameter': (text) => `Bearer token=${text}`,
    'a parameter in quotes': (text) => `Bearer access_token="${text}"`,
    'a parameter behind': (text) => `Bearer ${text}, realm="imagecaches"`,
    'a comma behind': (text) => `Bearer ${text},`,
    'a comma before': (text) => `,Bearer ${text}`,
    'a semicolon behind': (text) => `Bearer ${text};`,
    'two tokens': (text) => `Bearer ${text} ${text}`,
    'two tokens and a comma': (text) => `Bearer ${text}, ${text}`,
    'two credentials, both good': (text) => `Bearer ${text}, Bearer ${text}`,
    'two credentials without a space': (text) => `Bearer ${text},Bearer ${text}`,
    'two credentials, the first good': (text) => `Bearer ${text}, Bearer x`,
    'two credentials, the last good': (text) => `Bearer x, Bearer ${text}`,
    'two credentials, the first Basic': (text) => `Basic dTpw, Bearer ${text}`,
    'two credentials, the last Basic': (text) => `Bearer ${text}, Basic dTpw`,
  };
  it.each(Object.entries(refusedValues))('refuses %s', async (_name, make) => {
    await expectRefused({ headers: { authorization: make(token()) } });
  });

  it.each(['bearer ', 'BEARER ', 'bEaReR ', 'Bearer   ', `Bearer${' '.repeat(1000)}`])(
    'accepts the scheme written %j',
    async (scheme) => {
      await expectAccepted({ headers: { authorization: scheme + token() } });
    },
  );

  it('drops spaces and tabs around the value, as HTTP has it', async () => {
    await expectAccepted({ headers: { authorization: ` \tBearer ${token()} \t` } });
  });
});

describe('a token somewhere else than in the Authorization header', () => {
  it.each([
    ...['cookie', 'x-authorization', 'x-forwarded-authorization', 'x-original-authorization'],
    ...['proxy-authorization', 'x-access-token', 'x-auth-token', 'x-amzn-oidc-data', 'x-jwt-assertion'],
    ...['x-goog-iap-jwt-assertion', 'x-forwarded-access-token', 'authentication', 'authorization-bearer'],
    ...['http_authorization', 'sec-websocket-protocol', 'x-token', 'token', 'jwt', 'access-token'],
  ])('is not seen in %s', async (name) => {
    const text = token();
    for (const value of [text, `Bearer ${text}`, `access_token=${text}`, `Authorization=Bearer ${text}`]) {
      await expectAsked({ headers: { [name]: value }, secrets: text.split('.') });
    }
  });

  it.each([
    'x-user',
    'x-forwarded-user',
    'x-remote-user',
    'remote-user',
    'x-forwarded-email',
    'x-client-cert',
  ])('nor is a caller believed by %s', async (name) => {
    await expectAsked({ headers: { [name]: SUBJECT_OF_NOBODY } });
  });

  it.each(['access_token', 'token', 'jwt', 'authorization', 'Authorization', 'bearer', 'id_token', 'name'])(
    'is not seen in the query parameter %s',
    async (name) => {
      const text = token();
      await expectAsked({ path: `/imagecaches?${name}=${text}`, secrets: text.split('.') });
      await expectAsked({ path: `/imagecaches?${name}=Bearer%20${text}`, secrets: text.split('.') });
      // A caller who is known learns that the parameter is none, and does not get the token back.
      if (name === 'name') return;
      const { status, headers } = await attempt({
        path: `/imagecaches?${name}=${text}`,
        headers: bearer(token({ payload: claims({ jti: 'other' }) })),
        secrets: text.split('.').slice(1),
      });
      expect(status).toBe(400);
      expect(headers['www-authenticate']).toBeUndefined();
    },
  );

  it('is not seen in a form, nor in the path', async () => {
    const text = token();
    const posted = await attempt({ method: 'POST', secrets: text.split('.') });
    expect(posted.status).toBe(405);
    const inPath = await attempt({ path: `/imagecaches/${text}`, secrets: text.split('.') });
    expect(inPath.status).toBe(404);
  });

  it('does not help a bad one in the Authorization header', async () => {
    const text = token();
    await expectRefused({
      headers: { ...bearer('x'), 'x-authorization': `Bearer ${text}`, cookie: `access_token=${text}` },
      secrets: text.split('.'),
    });
  });
});

const SUBJECT_OF_NOBODY = 'admin';

describe('the answer to HEAD', () => {
  it('is as closed as the one to GET', async () => {
    const answer = await attempt({ method: 'HEAD', headers: bearer('x') });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe(MALFORMED_CHALLENGE);
    expect(answer.body).toBe('');
  });
});

describe('no case passes because everything is refused', () => {
  it('a service that refused hundreds of tokens takes the next good one', async () => {
    const service = await createAttackedService();
    for (let index = 0; index < 300; index += 1) {
      const bad = token({ payload: claims({ jti: String(index) }), sign: fixed([index % 256]) });
      const response = await service.app.request('/imagecaches', { headers: bearer(bad) });
      expect(response.status).toBe(401);
    }
    expect((await service.app.request('/imagecaches', { headers: bearer(token()) })).status).toBe(200);
  });
});
