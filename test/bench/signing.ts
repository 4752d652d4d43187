/**
 * Prints signatures a second as JSON: this service's signer (with Node's digests and with WebCrypto's, as on Workers), the vendor's own for Node, and aws4fetch's for a request of the
 * same shape. In alternating rounds, each of the same time.
 */
import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';
import { AwsV4Signer } from 'aws4fetch';
import { freezeCredential } from '../../src/credentials/provider.ts';
import { createNodeDigests } from '../../src/runtime/node/platform/digests.ts';
import { signRequest } from '../../src/signing/sign-request.ts';

const ROUND_MS = 300;
const ROUNDS = 7;
const URL_TEXT = 'https://cce.cn-north-4.myhuaweicloud.com/v5/imagecaches?name=web-base';
const KEY = {
  accessKeyId: 'AKEXAMPLE00000000001',
  secretAccessKey: 'SKexample000000000000000000000000000001',
};

const digests = createNodeDigests();
const credential = freezeCredential({ ...KEY, securityToken: undefined, expiresAtMs: undefined });
const url = new URL(URL_TEXT);
/** Each second has its own date, as it would. */
let nowMs = Date.UTC(2026, 0, 1);

const SIGNERS: Readonly<Record<string, () => unknown>> = {
  ours: () => {
    nowMs += 1000;
    return signRequest({ method: 'GET', url, headers: {} }, credential, { nowMs, digests });
  },
  webCrypto: () => {
    nowMs += 1000;
    return signRequest({ method: 'GET', url, headers: {} }, credential, { nowMs });
  },
  sdk: () =>
    AKSKSigner.sign(
      {
        method: 'GET',
        endpoint: url.origin + url.pathname,
        queryParams: { name: 'web-base' },
        headers: {},
      } as never,
      { getAk: () => KEY.accessKeyId, getSk: () => KEY.secretAccessKey } as never,
    ),
  aws4fetch: () =>
    new AwsV4Signer({
      url: URL_TEXT,
      ...KEY,
      service: 'execute-api',
      region: 'cn-north-4',
      datetime: '20260101T000000Z',
    }).sign(),
};

async function rate(sign: () => unknown): Promise<number> {
  const untilMs = performance.now() + ROUND_MS;
  const begunMs = performance.now();
  let count = 0;
  while (performance.now() < untilMs) {
    for (let batch = 0; batch < 50; batch += 1) await sign();
    count += 50;
  }
  return (count * 1000) / (performance.now() - begunMs);
}

const rates: Record<string, number[]> = { ours: [], webCrypto: [], sdk: [], aws4fetch: [] };
for (let round = -1; round < ROUNDS; round += 1)
  for (const [name, sign] of Object.entries(SIGNERS)) {
    const perSecond = await rate(sign);
    // The first round warms up.
    if (round >= 0) rates[name]?.push(Math.round(perSecond));
  }
process.stdout.write(`${JSON.stringify(rates)}\n`);
