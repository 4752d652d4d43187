import { readFile } from 'node:fs/promises';
import { parser } from '@prometheus-io/lezer-promql';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createPrometheusMetrics } from '../../src/runtime/node/telemetry/metrics.ts';

const DEPLOY = new URL('../../deploy/', import.meta.url);
const DOCS = new URL('../../docs/', import.meta.url);
/** What Prometheus itself adds. */
const ADDED_METRICS = ['up'];
// `target` is there with several targets.
const ADDED_LABELS = ['target', 'job', 'instance', 'le', 'namespace', 'pod'];

/** As it is held. */
const LIST = new TextEncoder().encode(
  JSON.stringify({ image_caches: [{ status: 'Available', expires_at: '2024-12-02T06:32:34.923248Z' }] }),
);

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook_url: string; readonly summary: string };
}
interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

let exported: { readonly metrics: ReadonlySet<string>; readonly labels: ReadonlySet<string> };
let alerts: readonly Alert[];
let panels: readonly Panel[];

/** Names of metrics and labels in an expression, by the grammar that Prometheus' own editor uses. */
function namesIn(expression: string): { metrics: string[]; labels: string[]; hasError: boolean } {
  // Grafana's variables are no PromQL.
  const text = expression.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'x');
  const metrics: string[] = [];
  const labels: string[] = [];
  let hasError = false;
  parser.parse(text).iterate({
    enter: ({ name, from, to, type }) => {
      if (type.isError) hasError = true;
      if (name === 'VectorSelector') metrics.push(/^[\w:]+/.exec(text.slice(from, to))?.[0] ?? '');
      if (name === 'LabelName') labels.push(text.slice(from, to));
    },
  });
  return { metrics, labels, hasError };
}

beforeAll(async () => {
  const prometheus = createPrometheusMetrics('1.2.3');
  const { metrics } = prometheus;
  metrics.requestAnswered('/imagecaches', 'GET', 200, 1);
  const target = metrics.forTarget(undefined);
  target.cacheAnswered('hit', 1);
  target.upstreamAnswered('ok', 1);
  metrics.sharedStoreUsed('get', 'ok');
  metrics.sharedStoreChanged(false, ['OOM']);
  prometheus.connectionOpened('plain');
  target.observeCache(() => ({ entries: 1, bytes: 1 }));
  target.observeList({
    region: 'cn-north-4',
    now: () => 0,
    elapsed: () => 0,
    cache: { peekWholeList: () => ({ body: LIST, ageMs: 0 }), refreshWholeList: () => undefined },
  });
  const text = await prometheus.render();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  exported = {
    metrics: new Set(samples.map((line) => /^[\w:]+/.exec(line)?.[0] ?? '')),
    labels: new Set(
      samples.flatMap((line) => Array.from(line.matchAll(/(\w+)="/g), ([, label]) => label ?? '')),
    ),
  };
  const rules = parse(await readFile(new URL('prometheus/alerts.yaml', DEPLOY), 'utf8'));
  alerts = rules.groups.flatMap(({ rules: ofGroup }: { rules: Alert[] }) => ofGroup);
  panels = JSON.parse(await readFile(new URL('grafana/imagecaches-bff.json', DEPLOY), 'utf8')).panels;
});

describe('expressions for operators', () => {
  it('name metrics and labels that the service exports', () => {
    const expressions = [
      ...alerts.map(({ expr }) => expr),
      ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ];
    expect(expressions.length).toBeGreaterThan(25);
    for (const expression of expressions) {
      const { metrics, labels, hasError } = namesIn(expression);
      expect(hasError, expression).toBe(false);
      expect(metrics.length, expression).toBeGreaterThan(0);
      for (const metric of metrics)
        expect(exported.metrics.has(metric) || ADDED_METRICS.includes(metric), metric).toBe(true);
      for (const label of labels)
        expect(exported.labels.has(label) || ADDED_LABELS.includes(label), label).toBe(true);
    }
  });

  it('look at one job, and in alerts at one namespace at a time', () => {
    for (const { alert, expr } of alerts) {
      const selectors = Array.from(expr.matchAll(/\b(?:up|imagecaches_\w+|nodejs_\w+)\{([^}]*)\}/g));
      expect(selectors.length, alert).toBe(namesIn(expr).metrics.length);
      for (const [, labels] of selectors) expect(labels, alert).toMatch(/^job="imagecaches-bff"/);
      for (const [grouping] of expr.matchAll(/\b(?:by|on) \([^)]*\)/g))
        expect(grouping, alert).toMatch(/\(namespace, job(?:, (?:instance|target, region))?\)/);
    }
  });

  it('of what is in the lists are never added up over replicas', () => {
    const ofLists = alerts.filter(({ expr }) => expr.includes('imagecaches_image_caches'));
    expect(ofLists).toHaveLength(3);
    for (const { expr } of ofLists) expect(expr).toMatch(/^max by \(namespace, job, target, region\) \(/);
    const shown = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    for (const expr of shown.filter((each) => /imagecaches_(?:image_caches|list_)/.test(each)))
      expect(expr).toMatch(/^(?:max|min)(?: by \((?:status, )?target, region\))? \(/);
  });

  it('would be found out if they did not', () => {
    expect(namesIn('rate(no_such_metric{made_up="x"}[5m])')).toEqual({
      metrics: ['no_such_metric'],
      labels: ['made_up'],
      hasError: false,
    });
    expect(namesIn('rate(a[5m]').hasError).toBe(true);
  });
});

describe('alerts', () => {
  it('each have a runbook that there is', async () => {
    const page = await readFile(new URL('operate.md', DOCS), 'utf8');
    const headings = Array.from(page.matchAll(/^### (\w+)$/gm), ([, heading]) => heading);
    expect(alerts.map(({ alert }) => alert)).toEqual(headings);
    for (const { alert, annotations } of alerts)
      expect(annotations.runbook_url).toMatch(
        new RegExp(`^https://[^#]+/docs/operate\\.md#${alert.toLowerCase()}$`),
      );
  });

  it('are in the chart, which reads no file outside of it', async () => {
    const shipped = await readFile(new URL('prometheus/alerts.yaml', DEPLOY), 'utf8');
    expect(await readFile(new URL('helm/imagecaches-bff/files/alerts.yaml', DEPLOY), 'utf8')).toBe(shipped);
  });

  it('are each tested to fire and not to fire', async () => {
    const { tests } = parse(await readFile(new URL('prometheus/alerts.test.yaml', DEPLOY), 'utf8'));
    const [quiet, bad] = tests;
    expect(quiet.alert_rule_test.map(({ alertname }: { alertname: string }) => alertname)).toEqual(
      alerts.map(({ alert }) => alert),
    );
    expect(bad.promql_expr_test[0].exp_samples[0].value).toBe(alerts.length);
  });
});

describe('the dashboard', () => {
  it('shows every metric of the service', () => {
    const shown = new Set(
      panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => namesIn(expr).metrics)),
    );
    const own = [...exported.metrics].filter((name) => name.startsWith('imagecaches_'));
    // A histogram is shown by any of its three.
    const missing = own.filter(
      (name) =>
        ![...shown].some(
          (candidate) =>
            candidate.replace(/_(?:bucket|count|sum)$/, '') === name.replace(/_(?:bucket|count|sum)$/, ''),
        ),
    );
    expect(missing).toEqual([]);
  });
});
