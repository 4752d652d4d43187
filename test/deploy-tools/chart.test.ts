import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { FILE_SETTINGS, SETTING_NAMES } from '../../src/config/config.ts';
import { container, environmentOf, faultsOf, ISSUERS, refusal, SETTINGS, VALUES } from './chart-values.ts';
import { type DeployTools, installTools, KUBERNETES_VERSIONS } from './install-tools.ts';
import { MANIFESTS, renderManifests } from './manifests.ts';
import { CHART, renderChart } from './render-chart.ts';

const run = promisify(execFile);
let tools: DeployTools;
beforeAll(async () => {
  tools = await installTools();
});

/** Variables that Node and OpenTelemetry read for themselves. */
const READ_BY_OTHERS = ['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'OTEL_EXPORTER_OTLP_HEADERS'];
const names = Object.keys(VALUES);
const render = (name: string, release?: string) => renderChart(tools, VALUES[name] as object, release);
async function validate(text: string, version: (typeof KUBERNETES_VERSIONS)[number]): Promise<string> {
  const location = join(tools.schemas(version), '{{.ResourceKind}}{{.KindSuffix}}.json');
  const child = promisify(execFile)(tools.kubeconform, [
    '-strict',
    '-output',
    'json',
    '-summary',
    '-schema-location',
    location,
    '-',
  ]);
  child.child.stdin?.end(text);
  return child.then(
    ({ stdout }) => stdout,
    ({ stdout }: { stdout: string }) => stdout,
  );
}

describe('the chart', () => {
  it('has the version of the package', async () => {
    const chart = parse(await readFile(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>;
    expect([chart.version, chart.appVersion]).toEqual([packageJson.version, packageJson.version]);
  });

  it('is linted without a complaint', async () => {
    const { stdout } = await run(tools.helm, [
      'lint',
      '--strict',
      '--kube-version',
      KUBERNETES_VERSIONS[0],
      CHART,
    ]);
    expect(stdout).toContain('1 chart(s) linted, 0 chart(s) failed');
    expect(stdout).not.toMatch(/\[(?:WARNING|ERROR)\]/);
  });

  it.each(KUBERNETES_VERSIONS)(
    'makes objects that Kubernetes %s takes, every member of them known, with whatever values',
    async (version) => {
      const all = await Promise.all(names.map((name) => render(name)));
      const { summary, resources } = JSON.parse(
        await validate(all.map(({ text }) => text).join('\n---\n'), version),
      ) as { summary: Record<string, number>; resources: unknown[] };
      expect(resources).toEqual([]);
      const valid = all.reduce((count, { objects }) => count + objects.length, 0);
      expect(summary).toEqual({ valid, invalid: 0, errors: 0, skipped: 0 });
    },
  );

  it('would be refused with a member that there is not', async () => {
    const { text } = await render('the least');
    expect(await validate(text.replace('enableServiceLinks', 'enableServiceLink'), '1.37.0')).toContain(
      'enableServiceLink',
    );
    const { text: all } = await render('everything');
    expect(await validate(all.replace('creationPolicy', 'creationPolicies'), '1.37.0')).toContain(
      'creationPolicies',
    );
    expect(await validate(all.replace('  interval: 30s', '  intervall: 30s'), '1.37.0')).toContain(
      'intervall',
    );
  });

  it.each(names)('with %s gives the service settings that it takes', async (name) => {
    const { the } = await render(name);
    const environment = environmentOf(the('Deployment'));
    for (const setting of Object.keys(environment)) {
      if (READ_BY_OTHERS.includes(setting)) continue;
      expect(SETTING_NAMES.some((known) => known === setting || `${known}_FILE` === setting)).toBe(true);
    }
    // As if the files were there, and what CCE sets.
    const files = Object.fromEntries(
      Object.entries({
        HUAWEICLOUD_SDK_AK: 'AK',
        HUAWEICLOUD_SDK_SK: 'SK',
        HUAWEICLOUD_SDK_SECURITY_TOKEN: 'T',
        AUTH_ISSUERS: ISSUERS,
        SDK_KEYS: '{"keys":[]}',
        REDIS_URL: 'redis://redis',
      }).filter(([setting]) => environment[`${setting}_FILE`] !== undefined),
    );
    const pod = environment.HUAWEICLOUD_CREDENTIALS === 'pod' && {
      HC_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials',
      HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/var/run/token',
    };
    const faults = faultsOf({ ...environment, ...files, ...pod });
    // The document of key pairs is made up here.
    expect(faults.filter((setting) => setting !== 'SDK_KEYS_FILE')).toEqual([]);
  });

  it('mounts every file that a setting names', async () => {
    for (const name of names) {
      const { the } = await render(name);
      const deployment = the('Deployment');
      const files = Object.entries(environmentOf(deployment)).filter(
        ([setting]) => setting.endsWith('_FILE') || setting === 'NODE_EXTRA_CA_CERTS',
      );
      const { volumes = [] } = deployment.spec.template.spec;
      const { volumeMounts = [] } = container(deployment);
      for (const [, path] of files) {
        const mount = volumeMounts.find(({ mountPath }: { mountPath: string }) =>
          path.startsWith(`${mountPath}/`),
        );
        const volume = volumes.find((candidate: { name: string }) => candidate.name === mount.name);
        const items = (volume.secret ?? volume.configMap).items as { path: string }[];
        expect(items.map((item) => `${mount.mountPath}/${item.path}`)).toContain(path);
        expect(mount.readOnly).toBe(true);
      }
      expect(volumeMounts).toHaveLength(volumes.length);
    }
  });

  it('runs as nobody, with nothing to write to and nothing to gain', async () => {
    const { the } = await render('the least');
    const { spec } = the('Deployment').spec.template;
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('gives the drain the time that the settings ask for', async () => {
    const graceOf = async (name: string) =>
      (await render(name)).the('Deployment').spec.template.spec.terminationGracePeriodSeconds;
    expect(await graceOf('the least')).toBe(5 + 25 + 5);
    expect(await graceOf('everything')).toBe(10 + 40 + 5);
  });

  it('starts new pods when the document of issuers changes', async () => {
    const checksum = async (document: string) =>
      (await renderChart(tools, { settings: SETTINGS, issuers: { document } })).the('Deployment').spec
        .template.metadata.annotations['checksum/issuers'];
    expect(await checksum(ISSUERS)).not.toBe(await checksum(`${ISSUERS} `));
    const { data } = (await render('everything')).the('ConfigMap', ({ metadata }) =>
      metadata.name.endsWith('-issuers'),
    );
    expect(data['issuers.json']).toBe(ISSUERS);
  });

  it('leaves the number of pods to the autoscaler where there is one', async () => {
    expect((await render('everything')).the('Deployment').spec).not.toHaveProperty('replicas');
    expect((await render('the least')).the('Deployment').spec.replicas).toBe(2);
  });

  it('selects its own pods, and the metrics by their own Service', async () => {
    const { the, objects } = await render('everything');
    const labels = the('Deployment').spec.template.metadata.labels;
    const selectors = objects.flatMap(({ kind, spec }) => {
      if (kind === 'Service') return [spec.selector];
      if (kind === 'NetworkPolicy') return [spec.podSelector.matchLabels];
      return kind === 'PodDisruptionBudget' || kind === 'Deployment' ? [spec.selector.matchLabels] : [];
    });
    expect(selectors).toHaveLength(5);
    for (const selector of selectors) expect(labels).toMatchObject(selector);
    const monitored = the('ServiceMonitor').spec;
    const service = the(
      'Service',
      ({ metadata }) => metadata.labels['app.kubernetes.io/component'] === 'metrics',
    );
    expect(service.metadata.labels).toMatchObject(monitored.selector.matchLabels);
    expect(service.spec.ports.map(({ name }: { name: string }) => name)).toEqual(['metrics']);
    expect(monitored.endpoints[0].port).toBe('metrics');
  });

  it('takes the settings of this version, and no secret among them', async () => {
    const schema = JSON.parse(await readFile(join(CHART, 'values.schema.json'), 'utf8'));
    const { properties, additionalProperties } = schema.properties.settings;
    expect(additionalProperties).toBe(false);
    const allowed = Object.keys(properties);
    const managed = /^(?:HOST|PORT|METRICS_PORT|HUAWEICLOUD_CREDENTIALS|TLS_.*)$/;
    const secret = FILE_SETTINGS.filter(
      (name) => !/^(?:HUAWEICLOUD_SDK_PROJECT_ID|HTTPS?_PROXY)$/.test(name),
    );
    const expected = SETTING_NAMES.filter(
      (name) => !managed.test(name) && !secret.includes(name as never) && !/^[a-z]/.test(name),
    );
    expect(allowed.filter((name) => SETTING_NAMES.includes(name)).sort()).toEqual([...expected].sort());
  });

  it.each([
    ['a secret among the settings', { settings: { HUAWEICLOUD_SDK_SK: 'planted' } }, 'HUAWEICLOUD_SDK_SK'],
    ['a setting that there is not', { settings: { CACHE_TTL: '30' } }, 'CACHE_TTL'],
    ['a value that there is not', { replica: 3 }, 'replica'],
    ['a value inside of another', { image: { name: 'x' } }, 'name'],
    ['a bad kind of credentials', { credentials: { source: 'file' } }, 'source'],
    ['a bad network', { networkPolicy: { egress: { cce: [{ cidr: 'example.com', port: 443 }] } } }, 'cidr'],
    ['a target without a place', { networkPolicy: { egress: { redis: [{ port: 6379 }] } } }, 'redis'],
    [
      'a target in two places',
      { networkPolicy: { egress: { redis: [{ cidr: '10.0.0.0/8', podSelector: {}, port: 6379 }] } } },
      'redis',
    ],
    ['a peer that is none', { networkPolicy: { egress: { dns: { podSelector: {} } } } }, 'dns'],
    ['two documents of issuers', { issuers: { document: '{}', configMapName: 'x' } }, 'issuers.document'],
    [
      'an external secret that nobody reads',
      { credentials: { source: 'pod', externalSecret: { enabled: true } } },
      'externalSecret',
    ],
    [
      'an external secret without a store',
      { credentials: { externalSecret: { enabled: true } } },
      'secretStoreRef',
    ],
    [
      'Redis without a project',
      { credentials: { source: 'pod' }, redis: { secretName: 'x' } },
      'HUAWEICLOUD_SDK_PROJECT_ID',
    ],
    ['no settings at all', {}, 'settings.CCE_REGION'],
    ['a number of replicas by the usual name', { replicaCount: 3 }, 'replicaCount is called replicas'],
    ['a document of issuers that is none', { issuers: { document: '[]' } }, 'issuers.document'],
    ['an issuer without audiences', { issuers: { document: '{"issuers":[{"issuer":"x"}]}' } }, 'issuers[0]'],
    ['metrics on the port of callers', { metrics: { port: 8080 } }, 'metrics.port'],
    ['bounds the wrong way round', { autoscaling: { enabled: true, maxReplicas: 1 } }, 'minReplicas'],
    ['no service account', { serviceAccount: { create: false } }, 'serviceAccount.name'],
  ])('refuses %s, and says so', async (_what, values, word) => {
    const text = await refusal(tools, values);
    expect(text).toContain(word);
    expect(text).not.toContain('planted');
  });

  it('makes names that fit, whatever the release is called', async () => {
    const { objects } = await render('the least', 'a'.repeat(53));
    for (const { metadata } of objects) expect(metadata.name.length).toBeLessThanOrEqual(63);
    expect(new Set(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).size).toBe(
      objects.length,
    );
  });
});

describe('the plain manifests', () => {
  it('are what the chart makes today', async () => {
    expect(await readFile(MANIFESTS, 'utf8')).toBe(await renderManifests(tools));
  });

  it('are taken by Kubernetes, and say nothing of Helm', async () => {
    const text = await readFile(MANIFESTS, 'utf8');
    const { summary } = JSON.parse(await validate(text, '1.37.0')) as { summary: unknown };
    expect(summary).toEqual({ valid: 6, invalid: 0, errors: 0, skipped: 0 });
    expect(text.split('\n').slice(1).join('\n')).not.toMatch(/helm/i);
  });
});
