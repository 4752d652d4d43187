import { BasicCredentials } from '@huaweicloud/huaweicloud-sdk-core/auth/BasicCredentials.js';
import { ClientBuilder } from '@huaweicloud/huaweicloud-sdk-core/ClientBuilder.js';
import type { HcClient } from '@huaweicloud/huaweicloud-sdk-core/HcClient.js';
import { Region } from '@huaweicloud/huaweicloud-sdk-core/region/region.js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DEFAULT_ACCESS_KEY, DEFAULT_PROJECT, type Simulator, startSimulator } from './simulator.ts';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

function buildClient(options: { projectId?: string; region?: string } = {}): HcClient {
  const credentials = new BasicCredentials()
    .withAk(DEFAULT_ACCESS_KEY.accessKeyId)
    .withSk(DEFAULT_ACCESS_KEY.secretAccessKey);
  if (options.projectId !== undefined) credentials.withProjectId(options.projectId);
  if (options.region !== undefined) credentials.withIamEndpoint(simulator.url);
  const builder = new ClientBuilder<HcClient>((client) => client)
    .withCredential(credentials)
    // Without one of our own the SDK keeps an application id in the home directory.
    .withOptions({ customUserAgent: 'simulator-test' });
  return options.region === undefined
    ? builder.withEndpoint(simulator.url).build()
    : builder.withRegion(new Region(options.region, simulator.url)).build();
}

/** What the SDK's generated ListImageCaches hands to the core client. */
function listImageCaches(client: HcClient, name?: string) {
  return client.sendRequest({
    method: 'GET',
    url: '/v5/imagecaches',
    contentType: 'application/json',
    pathParams: {},
    queryParams: name === undefined ? {} : { name },
    headers: {},
  }) as Promise<{ httpStatusCode: number; image_caches: { name: string }[] }>;
}

test('the Node SDK lists all image caches', async () => {
  const client = buildClient({ projectId: DEFAULT_PROJECT.id });
  const answer = await listImageCaches(client);
  expect(answer.httpStatusCode).toBe(200);
  expect(answer.image_caches).toHaveLength(50);
  const authorization = simulator.requests[0]?.headers.find(([name]) => name === 'Authorization')?.[1];
  expect(authorization).toContain('SignedHeaders=content-type;host;x-project-id;x-sdk-date,');
});

test('the Node SDK lists one by name, without a project', async () => {
  const answer = await listImageCaches(buildClient(), 'search-worker-02');
  expect(answer.image_caches.map(({ name }) => name)).toEqual(['search-worker-02']);
});

test('the Node SDK with a region asks for the project first', async () => {
  const answer = await listImageCaches(buildClient({ region: 'cn-north-4' }));
  expect(answer.image_caches).toHaveLength(50);
  expect(simulator.requests.map(({ url, authentication }) => [url, authentication])).toEqual([
    ['/v3/projects?name=cn-north-4', 'accepted'],
    ['/v5/imagecaches', 'accepted'],
  ]);
});
