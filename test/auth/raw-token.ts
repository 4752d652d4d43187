import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  sign,
} from 'node:crypto';
import { createFakeClock } from '../support/fake-clock.ts';
import { TEST_AUDIENCE, TEST_ISSUER, TEST_SCOPE } from '../support/test-keys.ts';

/**
 * Tokens made by hand, with node:crypto and not with the library that checks them: that one cannot be talked
 * into making what it would refuse.
 */

export const NOW_SECONDS = createFakeClock().now() / 1000;
export const SUBJECT = 'service-a';

export interface RawKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** As the issuer publishes it. */
  readonly publicJwk: Record<string, unknown>;
}

function rawKey(kid: string, alg: string | undefined, privateKey: KeyObject): RawKey {
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' });
  return { kid, privateKey, publicJwk: { ...jwk, kid, use: 'sig', ...(alg === undefined ? {} : { alg }) } };
}

const rsa = (publicExponent = 0x10001) =>
  generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent }).privateKey;
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;

/** The issuer's. Some publish their algorithm, as they should; some do not, as many do. */
export const KEYS = {
  rs: rawKey('rs', 'RS256', rsa()),
  ps: rawKey('ps', 'PS256', rsa()),
  es: rawKey('es', 'ES256', ec('P-256')),
  ed: rawKey('ed', 'EdDSA', generateKeyPairSync('ed25519').privateKey),
  rsaAny: rawKey('rsa-any', undefined, rsa()),
  ecAny: rawKey('ec-any', undefined, ec('P-256')),
  edAny: rawKey('ed-any', undefined, generateKeyPairSync('ed25519').privateKey),
  /** With the public exponent 3, for which a careless check of the padding can be fooled without the key. */
  rsa3: rawKey('rsa-3', undefined, rsa(3)),
  p384: rawKey('p-384', undefined, ec('P-384')),
} as const;

/** What an issuer should never publish: a shared secret among its public keys. */
export const PUBLISHED_SECRET = Buffer.from('a shared secret that everyone can read');

export const KEY_SET = {
  keys: [
    ...Object.values(KEYS).map(({ publicJwk }) => publicJwk),
    { kty: 'oct', kid: 'oct', alg: 'HS256', k: PUBLISHED_SECRET.toString('base64url') },
    { ...rawKey('enc', undefined, rsa()).publicJwk, use: 'enc' },
  ],
};

export const ATTACKER = {
  rs: rawKey('rs', 'RS256', rsa()),
  es: rawKey('es', 'ES256', ec('P-256')),
  ed: rawKey('ed', 'EdDSA', generateKeyPairSync('ed25519').privateKey),
} as const;

export type Signer = (signingInput: Buffer) => Buffer;

const pss = (saltLength: number) => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

export const SIGNERS: Readonly<Record<string, (key: KeyObject) => Signer>> = {
  RS256: (key) => (input) => sign('sha256', input, key),
  RS384: (key) => (input) => sign('sha384', input, key),
  RS512: (key) => (input) => sign('sha512', input, key),
  PS256: (key) => (input) => sign('sha256', input, { key, ...pss(32) }),
  PS384: (key) => (input) => sign('sha384', input, { key, ...pss(48) }),
  PS512: (key) => (input) => sign('sha512', input, { key, ...pss(64) }),
  ES256: (key) => (input) => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
  ES384: (key) => (input) => sign('sha384', input, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (key) => (input) => sign(null, input, key),
};

export function signer(alg: string, key: RawKey): Signer {
  const make = SIGNERS[alg];
  if (make === undefined) throw new Error(`no signer for ${alg}`);
  return make(key.privateKey);
}

export const hmac =
  (hash: string, secret: Buffer | string): Signer =>
  (input) =>
    createHmac(hash, secret).update(input).digest();

/** A signature that has nothing to do with what is signed. */
export const fixed =
  (bytes: Buffer | number[]): Signer =>
  () =>
    Buffer.from(bytes);

export const NO_SIGNATURE = fixed([]);

export const base64url = (value: Buffer | string): string => Buffer.from(value).toString('base64url');

/** Claims that are good at the start of the fake clock. */
export function claims(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: TEST_ISSUER,
    aud: TEST_AUDIENCE,
    sub: SUBJECT,
    iat: NOW_SECONDS,
    exp: NOW_SECONDS + 3600,
    scope: TEST_SCOPE,
    ...more,
  };
}

export function without(...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims()).filter(([name]) => !names.includes(name)));
}

/** The JSON of good claims with more text in front, which says again what they say. */
export const claimsAfter = (members: string): string => `{${members},${JSON.stringify(claims()).slice(1)}`;
/** The same with the text behind. */
export const claimsBefore = (members: string): string =>
  `${JSON.stringify(claims()).slice(0, -1)},${members}}`;

export interface TokenParts {
  /** A value becomes JSON; text and bytes are taken as they are. */
  readonly header?: unknown;
  readonly payload?: unknown;
  readonly sign?: Signer;
}

function segment(value: unknown): string {
  return base64url(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
}

/** A good RS256 token but for what is asked for. */
export function token({
  header = { alg: 'RS256', kid: 'rs' },
  payload = claims(),
  sign: signWith = signer('RS256', KEYS.rs),
}: TokenParts = {}): string {
  const signingInput = `${segment(header)}.${segment(payload)}`;
  return `${signingInput}.${base64url(signWith(Buffer.from(signingInput)))}`;
}

/** A good token of a key, but for what is asked for. */
export function tokenOf(alg: string, key: RawKey, more: Partial<TokenParts> = {}): string {
  return token({ header: { alg, kid: key.kid }, sign: signer(alg, key), ...more });
}

/** The same token with other bytes for a signature. */
export function resign(text: string, change: (signature: Buffer) => Buffer): string {
  const [header, payload, signature] = text.split('.') as [string, string, string];
  return `${header}.${payload}.${base64url(change(Buffer.from(signature, 'base64url')))}`;
}

/** Makes tokens until one fits, for what a signature has by chance only. */
export function tokenWhere(fits: (text: string) => boolean, make: (jti: string) => string): string {
  for (let attempt = 0; attempt < 20_000; attempt += 1) {
    const text = make(String(attempt));
    if (fits(text)) return text;
  }
  throw new Error('no token fits');
}

export const signatureOf = (text: string): Buffer =>
  Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url');

/** A signed token of exactly this many characters. */
export function tokenOfLength(length: number): string {
  // Base64url has no text of 4n + 1 characters, so the header is padded too.
  for (let more = 0; more < 4; more += 1) {
    const header = { alg: 'RS256', kid: 'rs', x: 'x'.repeat(more) };
    const make = (padding: number) => token({ header, payload: claims({ x: 'x'.repeat(padding) }) });
    const guess = Math.floor(((length - make(0).length) * 3) / 4);
    for (let padding = guess - 3; padding <= guess + 3; padding += 1) {
      const text = make(padding);
      if (text.length === length) return text;
    }
  }
  throw new Error(`no token of ${length} characters`);
}

// ECDSA on P-256 and Ed25519: the orders of their groups.
export const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
export const ED25519_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

export const bigEndian = (value: bigint, length: number): Buffer =>
  Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
export const fromBigEndian = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);

/** An integer as DER writes it. */
export function derInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const padded = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
  return Buffer.concat([Buffer.from([0x02, padded.length]), padded]);
}

/** The RSA private operation on any block at all: what a signer with bad padding would publish. */
export const rsaBlock =
  (key: RawKey, block: (hash: Buffer) => Buffer): Signer =>
  (input) =>
    privateEncrypt(
      { key: key.privateKey, padding: constants.RSA_NO_PADDING },
      block(createHash('sha256').update(input).digest()),
    );

const DIGEST_INFO_SHA256 = Buffer.from('3031300d060960864801650304020105000420', 'hex');

export interface Pkcs1Parts {
  readonly start?: readonly number[];
  /** What stands between the start and the separator, made as long as the block needs unless it says so. */
  readonly padding?: (length: number) => Buffer;
  readonly digestInfo?: Buffer;
  readonly after?: Buffer;
}

/** The block of RSASSA-PKCS1-v1_5 (RFC 8017, section 9.2), or one that is not quite it. */
export function pkcs1Block(hash: Buffer, parts: Pkcs1Parts = {}): Buffer {
  const start = Buffer.from(parts.start ?? [0, 1]);
  const tail = Buffer.concat([
    Buffer.from([0]),
    parts.digestInfo ?? DIGEST_INFO_SHA256,
    hash,
    parts.after ?? Buffer.alloc(0),
  ]);
  const length = 256 - start.length - tail.length;
  const padding = (parts.padding ?? ((size: number) => Buffer.alloc(size, 0xff)))(length);
  return Buffer.concat([start, padding, tail]);
}

function mgf1(seed: Buffer, length: number, hash: string): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 0; blocks.length * 20 < length; counter += 1) {
    blocks.push(
      createHash(hash)
        .update(seed)
        .update(bigEndian(BigInt(counter), 4))
        .digest(),
    );
  }
  return Buffer.concat(blocks).subarray(0, length);
}

export interface PssParts {
  readonly salt?: Buffer;
  readonly mgfHash?: string;
  readonly trailer?: number;
  /** Changes the data block before it is masked. */
  readonly data?: (data: Buffer) => void;
  readonly topBit?: boolean;
}

/** The block of RSASSA-PSS with SHA-256 (RFC 8017, section 9.1), or one that is not quite it. */
export function pssBlock(hash: Buffer, parts: PssParts = {}): Buffer {
  const salt = parts.salt ?? Buffer.alloc(32, 7);
  const seed = createHash('sha256').update(Buffer.alloc(8)).update(hash).update(salt).digest();
  const data = Buffer.alloc(256 - 32 - 1);
  data[data.length - salt.length - 1] = 1;
  salt.copy(data, data.length - salt.length);
  parts.data?.(data);
  const mask = mgf1(seed, data.length, parts.mgfHash ?? 'sha256');
  const masked = Buffer.from(data.map((byte, index) => byte ^ (mask[index] ?? 0)));
  masked[0] = (masked[0] ?? 0) & 0x7f;
  // A first byte of 0x40 and a bit above could exceed the modulus; 0x80 alone does not.
  if (parts.topBit === true) masked[0] = 0x80;
  return Buffer.concat([masked, seed, Buffer.from([parts.trailer ?? 0xbc])]);
}

/** The smallest number whose cube is at least this. */
export function cubeRoot(value: bigint): bigint {
  let low = 0n;
  let high = 1n << 700n;
  while (low < high) {
    const middle = (low + high) / 2n;
    if (middle ** 3n < value) low = middle + 1n;
    else high = middle;
  }
  return low;
}
