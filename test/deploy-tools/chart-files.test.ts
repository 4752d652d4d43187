import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createTestKey, signTestToken } from '../support/test-keys.ts';
import { container, environmentOf, refusal, SETTINGS, VALUES } from './chart-values.ts';
import { type DeployTools, installTools } from './install-tools.ts';
import { renderChart } from './render-chart.ts';

const MOUNTED = '/etc/imagecaches-bff';
const DOCS = new URL('../../docs/', import.meta.url);

let tools: DeployTools;
let simulator: Simulator;
let folder: string;
const running: RunningProcess[] = [];

beforeAll(async () => {
  tools = await installTools();
  simulator = await startSimulator();
  folder = await mkdtemp(join(tmpdir(), 'chart-files-'));
});
afterEach(() => endAll(running));
afterAll(async () => {
  await simulator.stop();
  await rm(folder, { recursive: true });
});

/** The values that a page shows, in order. */
async function valuesIn(page: string): Promise<object[]> {
  const text = await readFile(new URL(page, DOCS), 'utf8');
  return Array.from(
    text.matchAll(/^( *)```yaml\n *# values\.yaml\n([\s\S]*?)^ *```$/gm),
    ([, , block = '']) => parse(block),
  );
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly items: { key: string; path: string }[] };
  readonly configMap?: { readonly name: string; readonly items: { key: string; path: string }[] };
}

describe('files of the pod', () => {
  it('come from the ConfigMap or Secret that is named', async () => {
    const { the } = await renderChart(tools, VALUES['files from everywhere'] as object);
    const deployment = the('Deployment');
    const { volumes } = deployment.spec.template.spec;
    const sources = (volumes as Volume[]).map(({ name, secret, configMap }) => [
      name,
      secret?.secretName ?? configMap?.name,
      (secret ?? configMap)?.items.map(({ key, path }) => `${key} as ${path}`).join(),
    ]);
    expect(sources).toEqual([
      ['credentials', 'imagecaches-bff-credentials', 'ak as ak,sk as sk'],
      ['jwks', 'jwks', 'keys as jwks.json'],
      ['sdk-keys', 'pairs', 'keys.json as keys.json'],
      ['ca', 'company-ca', 'ca.crt as ca.crt'],
      ['tmp', undefined, undefined],
    ]);
    expect(environmentOf(deployment)).toMatchObject({
      AUTH_JWKS_FILE: `${MOUNTED}/jwks/jwks.json`,
      SDK_KEYS_FILE: `${MOUNTED}/sdk-keys/keys.json`,
      NODE_EXTRA_CA_CERTS: `${MOUNTED}/ca/ca.crt`,
      HUAWEICLOUD_SDK_PROJECT_ID: 'a1',
    });
    const { env, envFrom, volumeMounts } = container(deployment);
    expect(env).toContainEqual({
      name: 'NODE_OPTIONS',
      valueFrom: { configMapKeyRef: { name: 'node', key: 'options' } },
    });
    expect(env).toContainEqual({
      name: 'OTEL_EXPORTER_OTLP_HEADERS',
      valueFrom: { secretKeyRef: { name: 'otel', key: 'headers' } },
    });
    expect(envFrom).toEqual([{ prefix: 'X_', secretRef: { name: 'more' } }]);
    expect(volumeMounts).toContainEqual({ name: 'tmp', mountPath: '/tmp' });
  });

  it.each<[string, object, object, string[]]>([
    ['the least', {}, { port: 'http' }, []],
    [
      'TLS',
      { TLS_CERT_FILE: `${MOUNTED}/tls/tls.crt`, TLS_KEY_FILE: `${MOUNTED}/tls/tls.key` },
      { port: 'http', scheme: 'HTTPS' },
      ['web-tls'],
    ],
    [
      'certificates of clients',
      { TLS_CLIENT_CA_FILE: `${MOUNTED}/client-ca/ca.crt` },
      { port: 'metrics' },
      ['web-tls', 'client-ca'],
    ],
  ])(
    'are those of TLS where it is on, and probes ask where they are answered: %s',
    async (name, files, asked, mounted) => {
      const { the } = await renderChart(tools, VALUES[name] as object);
      const deployment = the('Deployment');
      const { startupProbe, livenessProbe, readinessProbe } = container(deployment);
      expect(startupProbe.httpGet).toEqual({ path: '/livez', ...asked });
      expect(livenessProbe.httpGet).toEqual({ path: '/livez', ...asked });
      expect(readinessProbe.httpGet).toEqual({ path: '/readyz', ...asked });
      expect(environmentOf(deployment)).toMatchObject(files);
      const { volumes } = deployment.spec.template.spec;
      const tls = (volumes as Volume[]).filter(({ name: of }) => /^(?:tls|client-ca)$/.test(of));
      const sources = tls.map(({ secret, configMap }) => secret?.secretName ?? configMap?.name);
      expect(sources).toEqual(mounted);
    },
  );

  it('leave the key set to the document of issuers where there is one', async () => {
    const jwks = { configMapName: 'jwks' };
    const { the } = await renderChart(tools, {
      settings: SETTINGS,
      jwks,
      issuers: { configMapName: 'issuers' },
    });
    expect(environmentOf(the('Deployment'))).not.toHaveProperty('AUTH_JWKS_FILE');
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['extraEnv: HOST', { extraEnv: [{ name: 'HOST', value: '::' }] }, 'HOST is set twice'],
    ['a setting again', { extraEnv: [{ name: 'CCE_REGION', value: 'x' }] }, 'CCE_REGION is set twice'],
    ['a variable without a name', { extraEnv: [{ value: 'x' }] }, 'name'],
    ['two places of a CA', { caBundle: { configMapName: 'a', secretName: 'b' } }, 'caBundle.configMapName'],
    [
      'two key sets',
      { jwks: { configMapName: 'a' }, settings: { AUTH_JWKS_URL: 'https://a.example' } },
      'jwks',
    ],
    [
      'a volume of the same name',
      { extraVolumes: [{ name: 'credentials' }] },
      'the name credentials is taken',
    ],
    ['a mount of no volume', { extraVolumeMounts: [{ name: 'a', mountPath: '/a' }] }, 'no volume a'],
    [
      'authorities of clients without TLS',
      { tls: { clientCa: { secretName: 'a' } } },
      'no use without tls.secretName',
    ],
    [
      'authorities of clients in two places',
      { tls: { secretName: 'a', clientCa: { secretName: 'a', configMapName: 'b' } } },
      'tls.clientCa.configMapName contradicts',
    ],
    [
      'certificates of clients without a port for probes',
      { tls: { secretName: 'a', clientCa: { secretName: 'a' } }, metrics: { port: 0 } },
      'tls.clientCa needs metrics.port',
    ],
    ['TLS past the probes', { extraEnv: [{ name: 'TLS_CERT_FILE', value: '/x' }] }, 'set by tls'],
    ['headers for no collector', { otlpHeaders: { secretName: 'a' } }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  ])('are refused: %s', async (_what, values, word) => {
    expect(
      await refusal(tools, {
        ...values,
        settings: { ...SETTINGS, ...(values.settings as object | undefined) },
      }),
    ).toContain(word);
  });

  it('leave what envFrom may bring to the service', async () => {
    const envFrom = [{ configMapRef: { name: 'settings' } }];
    expect(await refusal(tools, { envFrom })).toBe('');
    expect(await refusal(tools, { extraEnv: [{ name: 'CCE_REGION', valueFrom: {} }] })).not.toContain(
      'CCE_REGION',
    );
  });
});

describe('values that the documentation shows', () => {
  it('are taken by the chart', async () => {
    const shown = (await Promise.all(['kubernetes.md', 'callers.md'].map(valuesIn))).flat();
    expect(shown.length).toBeGreaterThanOrEqual(5);
    for (const values of shown)
      expect((await renderChart(tools, { settings: SETTINGS, ...values })).objects.length).toBeGreaterThan(4);
  });

  it("let callers in with tokens of a cluster's own issuer", async () => {
    const [recipe] = await valuesIn('callers.md');
    const { the } = await renderChart(tools, { settings: { CCE_REGION: 'cn-north-4' }, ...recipe });
    // The pod: its files below a folder of this machine, and the simulator for the vendor.
    const key = await createTestKey('RS256');
    const pod = (path: string) => path.replaceAll(MOUNTED, folder);
    const secrets: Record<string, Record<string, string>> = {
      'imagecaches-bff-credentials': {
        ak: simulator.environment.HUAWEICLOUD_SDK_AK as string,
        sk: simulator.environment.HUAWEICLOUD_SDK_SK as string,
      },
    };
    const { metadata, data } = the('ConfigMap');
    const configMaps: Record<string, Record<string, string>> = {
      'cluster-jwks': { 'jwks.json': JSON.stringify({ keys: [key.publicJwk] }) },
      [metadata.name]: data,
    };
    const deployment = the('Deployment');
    for (const { name, secret, configMap } of deployment.spec.template.spec.volumes as Volume[]) {
      await mkdir(join(folder, name));
      const source = secret === undefined ? configMaps[configMap?.name ?? ''] : secrets[secret.secretName];
      for (const { key: from, path } of (secret ?? configMap)?.items ?? [])
        await writeFile(join(folder, name, path), pod(source?.[from] as string));
    }
    const environment = Object.fromEntries(
      Object.entries(environmentOf(deployment)).map(([name, value]) => [name, pod(value)]),
    );
    const service = startProcess('src/runtime/node.ts', [], {
      ...environment,
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_PORT: '0',
      CCE_ENDPOINT: simulator.url,
    });
    running.push(service);
    const [, port] = await service.printed(/"port":(\d+).*"msg":"listening"/);
    const ask = async (sub: string) => {
      const token = await signTestToken(key, Date.now(), {
        iss: 'https://kubernetes.default.svc.cluster.local',
        aud: ['imagecaches'],
        scope: undefined,
        sub,
      });
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`http://127.0.0.1:${port}/imagecaches`, { headers })).status;
    };
    expect(await ask('system:serviceaccount:shop:web')).toBe(200);
    expect(await ask('system:serviceaccount:jobs:nightly')).toBe(200);
    expect(await ask('system:serviceaccount:shop:other')).toBe(403);
  });
});
