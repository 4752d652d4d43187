import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { createFileProvider } from '../../src/credentials/file-provider.ts';
import { createMetadataServiceSource } from '../../src/credentials/metadata-service.ts';
import { createPodIdentitySource } from '../../src/credentials/pod-identity.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Fetch } from '../../src/platform/fetch.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import { TEST_ENVIRONMENT } from '../support/test-service.ts';

/** A security token has 16,384 characters at most. */
const LONGEST = 16_384;

const clock = createFakeClock();
const EXPIRY = new Date(clock.now() + 86_400_000).toISOString();

/** The length of the token that comes into use; undefined: none does. */
const SOURCES: Readonly<Record<string, (token: string) => Promise<number | undefined>>> = {
  'a setting': async (token) => {
    const { target } = parseConfig({ ...TEST_ENVIRONMENT, HUAWEICLOUD_SDK_SECURITY_TOKEN: token });
    return 'securityToken' in target.credentials ? target.credentials.securityToken?.length : undefined;
  },
  'a file': async (token) => {
    const initial = { accessKeyId: 'AK1', secretAccessKey: 'secret' };
    const provider = createFileProvider(
      initial,
      { securityToken: '/token' },
      {
        ...clock,
        readTextFile: async () => token,
        waitUntil: () => undefined,
        createSingleFlight: createSharedFlight,
        logger: createRecordingLogger(),
        metrics: NO_METRICS,
      },
    );
    await provider.reload(await provider.get());
    return (await provider.get()).securityToken?.length;
  },
  'the metadata service': async (securitytoken) => {
    const credential = { access: 'AK1', secret: 'secret', securitytoken, expires_at: EXPIRY };
    const fetch: Fetch = async (_url, { method }) =>
      method === 'PUT' ? new Response('session') : Response.json({ credential });
    return (await createMetadataServiceSource('http://169.254.169.254', { ...clock, fetch })()).securityToken
      ?.length;
  },
  'pod identity': async (securityToken) => {
    const credentials = { accessKeyId: 'AK1', secretAccessKey: 'secret', securityToken, expiration: EXPIRY };
    const source = createPodIdentitySource(
      { uri: 'http://169.254.170.23/v1/credentials', tokenFile: '/token' },
      { ...clock, fetch: async () => Response.json({ credentials }), readTextFile: async () => 'token' },
    );
    return (await source()).securityToken?.length;
  },
};

describe('a security token', () => {
  it.each(Object.keys(SOURCES))('from %s has one bound, whatever it comes from', async (name) => {
    const lengthOf = SOURCES[name] as (token: string) => Promise<number | undefined>;
    expect(await lengthOf('t'.repeat(LONGEST))).toBe(LONGEST);
    for (const length of [LONGEST + 1, 20_000])
      expect(await lengthOf('t'.repeat(length)).catch(() => undefined)).toBeUndefined();
  });
});
