import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import api from '../../src/pages/api/openapi.json' with { type: 'json' };
import { container, environmentOf, refusal, SETTINGS, VALUES } from './chart-values.ts';
import { type DeployTools, installTools } from './install-tools.ts';
import {
  type KubernetesObject,
  type Rendered,
  renderChart,
  renderNotes,
  renderText,
} from './render-chart.ts';

const run = promisify(execFile);
const ALERTS = new URL('../../deploy/prometheus/', import.meta.url);

let tools: DeployTools;
let everything: Rendered;
let folder: string;
beforeAll(async () => {
  tools = await installTools();
  everything = await renderChart(tools, VALUES.everything as object);
  folder = await mkdtemp(join(tmpdir(), 'chart-objects-'));
});
afterAll(() => rm(folder, { recursive: true }));

const isMetrics = ({ metadata }: KubernetesObject) =>
  metadata.labels['app.kubernetes.io/component'] === 'metrics';

describe('labels and annotations', () => {
  it('are there once, the nearest value of each, and select pods whatever is set', () => {
    const { metadata, spec } = everything.the('Deployment').spec.template;
    expect(spec.containers).toHaveLength(1);
    expect(metadata.labels).toMatchObject({
      'app.kubernetes.io/name': 'imagecaches-bff',
      'app.kubernetes.io/version': 'main',
      team: 'web',
      tier: 'none',
      e: 'f',
    });
    expect(metadata.annotations).toMatchObject({ owner: 'platform', c: 'd' });
    expect(metadata.annotations['checksum/issuers']).toMatch(/^[0-9a-f]{64}$/);
    const service = everything.the('Service', (object) => !isMetrics(object)).metadata;
    expect(service.labels).toMatchObject({ team: 'platform', tier: 'api' });
    expect(service.annotations).toEqual({
      owner: 'platform',
      c: 'common',
      'kubernetes.io/elb.class': 'union',
    });
    expect(everything.the('Deployment').metadata.annotations['reloader.stakater.com/auto']).toBe('true');
  });

  it('are texts, and names too, where YAML would have numbers of them', async () => {
    for (const [release, names] of [
      ['1e3', {}],
      ['007', { nameOverride: '12', fullnameOverride: '1e6' }],
    ] as const) {
      const { objects } = await renderText(tools, stringify({ settings: SETTINGS, ...names }), release);
      for (const { metadata, spec } of objects) {
        expect(typeof metadata.name).toBe('string');
        for (const value of Object.values({ ...metadata.labels, ...spec?.selector?.matchLabels }))
          expect(typeof value).toBe('string');
      }
    }
  });
});

describe('names', () => {
  it.each([
    ['my.release', {}, 'my-release-imagecaches-bff'],
    ['test', { fullnameOverride: 'a.b' }, 'a-b'],
    ['test', { nameOverride: 'c.d' }, 'test-c-d'],
    ['test', { fullnameOverride: 'x'.repeat(70) }, 'x'.repeat(63)],
    ['test', { fullnameOverride: `${'x'.repeat(54)}-y` }, `${'x'.repeat(54)}-y`],
  ])('are those of a Service, for the release %s with %j', async (release, names, expected) => {
    const { objects } = await renderChart(tools, { settings: SETTINGS, ...names }, release);
    const services = objects.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name);
    expect(services).toContain(expected);
    for (const name of services) expect(name).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
  });

  it('are labels too, which have 63 characters at most', async () => {
    const nameOverride = 'x'.repeat(64);
    expect(await refusal(tools, { settings: SETTINGS, nameOverride })).toContain('nameOverride');
  });
});

describe('what the world sees', () => {
  it('are the paths of the service, without probes', () => {
    const [first, second] = everything.the('Ingress').spec.rules;
    expect([first.host, second.host]).toEqual(['lists.example.com', 'sdk.example.com']);
    expect(second.http.paths.map(({ path }: { path: string }) => path)).toEqual(['/v5']);
    const { port } = everything.the('Service', (object) => !isMetrics(object)).spec.ports[0];
    const { rules } = everything.the('HTTPRoute').spec;
    for (const { matches, backendRefs, filters, timeouts } of rules) {
      // The most that a rule has before version 1.2 of the Gateway API.
      expect(matches.length).toBeLessThanOrEqual(8);
      expect(backendRefs).toEqual([{ name: 'lists', port }]);
      expect(filters).toHaveLength(1);
      expect(timeouts).toEqual({ request: '20s' });
    }
    const matches = rules.flatMap(({ matches }: { matches: object[] }) => matches);
    const shown: [string, boolean][][] = [
      first.http.paths.map(({ path, pathType }: Record<string, string>) => [path, pathType === 'Prefix']),
      matches.map(({ path }: { path: Record<string, string> }) => [path.value, path.type === 'PathPrefix']),
    ];
    for (const paths of shown) {
      const isOpen = (asked: string) =>
        paths.some(([path, isPrefix]) => asked === path || (isPrefix && asked.startsWith(`${path}/`)));
      for (const path of Object.keys(api.paths)) {
        if (!/^\/(?:livez|readyz|metrics)$/.test(path)) expect(isOpen(path), path).toBe(true);
      }
      for (const path of ['/', '/docs/swagger-ui.css', '/console', '/console/console.js', '/v3/auth/domains'])
        expect(isOpen(path), path).toBe(true);
      for (const path of ['/livez', '/readyz', '/metrics', '/imagecaches/x'])
        expect(isOpen(path), path).toBe(false);
    }
  });

  it('is any host where none is named', async () => {
    const { the } = await renderChart(tools, { settings: SETTINGS, ingress: { enabled: true } });
    expect(the('Ingress').spec.rules).toHaveLength(1);
    expect(the('Ingress').spec.rules[0]).not.toHaveProperty('host');
  });
});

describe('the pods', () => {
  it.each([
    [{}, '0.0.0.0'],
    [{ service: { ipFamilies: ['IPv6'] } }, '::'],
    [{ service: { ipFamilies: ['IPv4'] } }, '0.0.0.0'],
    [{ service: { ipFamilyPolicy: 'RequireDualStack' } }, '::'],
    [{ host: '::' }, '::'],
  ])('listen where the cluster has addresses: %j', async (values, host) => {
    const { the } = await renderChart(tools, { settings: SETTINGS, ...values });
    expect(environmentOf(the('Deployment')).HOST).toBe(host);
  });

  it('have the probes that are asked for', async () => {
    const { startupProbe, livenessProbe, readinessProbe } = container(everything.the('Deployment'));
    expect(startupProbe).toEqual({
      httpGet: { path: '/livez', port: 'http' },
      periodSeconds: 1,
      failureThreshold: 60,
    });
    expect(livenessProbe).toBeUndefined();
    expect(readinessProbe.httpGet.path).toBe('/readyz');
  });
});

describe('null', () => {
  it.each([
    'networkPolicy.enabled',
    'networkPolicy.egress.dns.peers',
    'networkPolicy.egress.dns.ports',
    'publicPaths',
    'credentials.source',
    'credentials.keys.accessKeyId',
    'metrics.port',
    'service.port',
    'tls',
  ])('is refused for %s, without which the objects would mean something else', async (path) => {
    const refused = await refusal(tools, withNull(path));
    expect(refused).toContain('schema');
    expect(refused).toContain(path.split('.').at(-1));
  });

  it('is nothing where nothing is the default', async () => {
    const { objects } = await renderChart(tools, { settings: SETTINGS });
    for (const path of [
      'extraEnv',
      'extraVolumes',
      'commonLabels',
      'commonAnnotations',
      'podAnnotations',
      'networkPolicy.egress.cce',
      'service.ipFamilies',
      'service.ipFamilyPolicy',
    ])
      expect((await renderChart(tools, withNull(path))).objects, path).toEqual(objects);
  });
});

/** The least values, with null under a path. */
function withNull(path: string): object {
  const value = path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), null);
  return { settings: SETTINGS, ...(value as object) };
}

describe('other objects', () => {
  it('are rendered, as text and as YAML', () => {
    expect(everything.the('ConfigMap', ({ metadata }) => metadata.name === 'test-extra').data).toEqual({
      a: 'b',
    });
    expect(everything.the('ConfigMap', ({ metadata }) => metadata.name === 'text')).toBeDefined();
  });

  it('bring the security token from the store', async () => {
    const { data } = everything.the('ExternalSecret').spec;
    expect(data).toEqual([
      { secretKey: 'id', remoteRef: { key: 'cce', property: 'ak' } },
      { secretKey: 'secret', remoteRef: { key: 'cce/sk' } },
      { secretKey: 'token', remoteRef: { key: 'cce', property: 'token' } },
    ]);
    const externalSecret = {
      enabled: true,
      secretStoreRef: { name: 'vault' },
      accessKeyId: { key: 'a' },
      secretAccessKey: { key: 'b' },
    };
    const without = { settings: SETTINGS, credentials: { keys: { securityToken: 't' }, externalSecret } };
    expect(await refusal(tools, without)).toContain('externalSecret.securityToken.key is missing');
    const alone = {
      settings: SETTINGS,
      credentials: { externalSecret: { ...externalSecret, securityToken: { key: 'c' } } },
    };
    expect(await refusal(tools, alone)).toContain('keys.securityToken is missing');
  });

  it.each([
    ['a route without a Gateway', { httpRoute: { enabled: true } }, 'httpRoute.parentRefs'],
    [
      'a monitor of nothing',
      { metrics: { port: 0, serviceMonitor: { enabled: true } } },
      'metrics.serviceMonitor',
    ],
    ['a bad path', { publicPaths: [{ path: '/a', pathType: 'Any' }] }, 'pathType'],
  ])('are refused: %s', async (_what, values, word) => {
    expect(await refusal(tools, { settings: SETTINGS, ...values })).toContain(word);
  });
});

describe('metrics', () => {
  /** The labels that the operator gives to what it scrapes by the chart's ServiceMonitor. */
  function labelsOf({ the }: Rendered): Record<string, string> {
    const { metadata, spec } = the('Service', isMetrics);
    const monitor = the('ServiceMonitor').spec;
    return {
      namespace: 'imagecaches',
      job: metadata.labels[monitor.jobLabel] ?? metadata.name,
      service: metadata.name,
      endpoint: monitor.endpoints[0].port,
      container: container(the('Deployment')).name,
      port: spec.ports[0].name,
    };
  }

  it('have the labels that the tests of the alerts have', async () => {
    const monitored = { settings: SETTINGS, metrics: { serviceMonitor: { enabled: true } } };
    const { port, ...labels } = labelsOf(await renderChart(tools, monitored, 'imagecaches-bff'));
    const expected = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
    const { tests } = parse(await readFile(new URL('alerts.test.yaml', ALERTS), 'utf8'));
    for (const { series } of tests[0].input_series)
      for (const label of expected) expect(series).toContain(label);
    expect(port).toBe('metrics');
  });

  it('raise every alert of this release alone, by the rules of the chart', async () => {
    const rules = everything.the('PrometheusRule').spec;
    const names = rules.groups.flatMap((group: { rules: { alert: string }[] }) =>
      group.rules.map(({ alert }) => alert),
    );
    const shipped = parse(await readFile(new URL('alerts.yaml', ALERTS), 'utf8'));
    expect(names).toEqual(
      shipped.groups
        .flatMap((group: { rules: { alert: string }[] }) => group.rules.map(({ alert }) => alert))
        .filter((alert: string) => alert !== 'ImageCachesThrottled'),
    );
    expect(rules.groups[0].rules[0].annotations.runbook_url).toBe(
      'https://wiki.example.com/bff#imagecachesdown',
    );
    await writeFile(join(folder, 'rules.yaml'), stringify(rules));
    const { tests } = parse(await readFile(new URL('alerts.test.yaml', ALERTS), 'utf8'));
    type Series = { series: string; values: string };
    const bad = (tests[1].input_series as Series[]).filter(
      ({ series }) => !series.includes('namespace="gone"'),
    );
    const inNamespace = (namespace: string) =>
      bad.map(({ series, values }) => ({
        series: series.replace('namespace="imagecaches"', `namespace="${namespace}"`),
        values,
      }));
    const firing = 'count by (namespace) (count by (namespace, alertname) (ALERTS{alertstate="firing"}))';
    const labels = '{namespace="default"}';
    await writeFile(
      join(folder, 'rules.test.yaml'),
      stringify({
        rule_files: ['rules.yaml'],
        tests: [
          {
            interval: '1m',
            // Helm's namespace here, and another one that is as bad.
            input_series: [...inNamespace('default'), ...inNamespace('other')],
            promql_expr_test: [
              { expr: firing, eval_time: '60m', exp_samples: [{ labels, value: names.length - 1 }] },
            ],
          },
          {
            interval: '1m',
            input_series: inNamespace('other'),
            promql_expr_test: [
              {
                expr: 'ALERTS{alertstate="firing"}',
                eval_time: '60m',
                exp_samples: [
                  {
                    labels:
                      'ALERTS{alertname="ImageCachesGone", alertstate="firing", job="imagecaches-bff", namespace="default", severity="critical"}',
                    value: 1,
                  },
                ],
              },
            ],
          },
        ],
      }),
    );
    const tested = await run('promtool', ['test', 'rules', 'rules.test.yaml'], { cwd: folder }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    expect(tested.stdout + tested.stderr).toContain('SUCCESS');
  });

  it('name the job that the rules look at, whatever it is called', async () => {
    for (const [values, job] of [
      [{ nameOverride: 'lists' }, 'lists'],
      [{ metrics: { serviceMonitor: { jobLabel: 'app.kubernetes.io/instance' } } }, 'test'],
      [{ metrics: { serviceMonitor: { jobLabel: 'nothing' } } }, 'test-imagecaches-bff-metrics'],
    ] as const) {
      const metrics = {
        serviceMonitor: {
          enabled: true,
          ...(values as { metrics?: { serviceMonitor: object } }).metrics?.serviceMonitor,
        },
        prometheusRule: { enabled: true },
      };
      const rendered = await renderChart(tools, { settings: SETTINGS, ...values, metrics });
      expect(labelsOf(rendered).job).toBe(job);
      expect(rendered.the('PrometheusRule').spec.groups[0].rules[0].expr).toBe(
        `up{namespace="default", job="${job}"} == 0`,
      );
    }
  });
});

describe('the notes', () => {
  const notesOf = (values: object) => renderNotes(tools, { settings: SETTINGS, ...values });

  it('warn of many replicas without Redis', async () => {
    const redis = { redis: { secretName: 'redis' } };
    for (const [values, isWarned] of [
      [{ replicas: 5 }, false],
      [{ replicas: 6 }, true],
      [{ replicas: 6, ...redis }, false],
      [{ autoscaling: { enabled: true } }, true],
      [{ autoscaling: { enabled: true, maxReplicas: 5 } }, false],
      [{ replicas: 6, extraEnv: [{ name: 'REDIS_URL_FILE', value: '/vault/url' }] }, false],
    ] as const)
      expect((await notesOf(values)).includes('replicas without Redis'), JSON.stringify(values)).toBe(
        isWarned,
      );
  });
});
