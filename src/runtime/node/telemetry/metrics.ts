import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { metricLabels } from '../../../cache/list-key.ts';
import { KNOWN_METHODS } from '../../../http/known-methods.ts';
import { MEMBERS } from '../../../imagecaches/model.ts';
import type { BreakerState, CacheOutcome, Metrics, TargetMetrics } from '../../../observability/metrics.ts';
import type { ConnectionBegin } from '../platform/fetch.ts';
import { createImageCacheMetrics, type ImageCacheMetrics } from './image-cache-metrics.ts';
import { type HistogramSeries, TalliedHistogram } from './tallied-histogram.ts';

/** From half a millisecond, where hits lie, to 10 seconds, past the upstream deadline. */
const DURATION_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** From 1 second to the end of the default stale-if-error time. */
const AGE_BUCKETS_SECONDS = [1, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const BREAKER_STATES: readonly BreakerState[] = ['closed', 'open', 'half_open'];

export interface PrometheusMetrics {
  readonly metrics: Metrics;
  /** A connection was opened to the vendor, or to an issuer. */
  readonly connectionOpened: (begin: ConnectionBegin) => void;
  readonly contentType: string;
  /** All metrics in the Prometheus text format. */
  readonly render: () => Promise<string>;
}

/**
 * The metrics of the core as Prometheus metrics, with those of the process. Each has a registry of its own, so that
 * a process can hold two services.
 *
 * @param version of this service, for imagecaches_build_info
 */
export function createPrometheusMetrics(version: string): PrometheusMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'imagecaches_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const connections = new Counter({
    name: 'imagecaches_outbound_connections_total',
    help: 'Connections opened to the vendor and to issuers, by how they began; calls use idle ones again.',
    labelNames: ['begin'],
    registers,
  });
  const imageCaches = createImageCacheMetrics(registry);
  return {
    metrics: {
      requestAnswered: createRequestMetrics(registry),
      ...createSharedStoreMetrics(registers),
      forTarget: createTargetMetrics(registry, imageCaches),
    },
    connectionOpened: (begin) => connections.inc({ begin }),
    contentType: registry.contentType,
    render: () => {
      imageCaches.collect();
      return registry.metrics();
    },
  };
}

function createRequestMetrics(registry: Registry): Metrics['requestAnswered'] {
  const requests = new TalliedHistogram(
    {
      name: 'imagecaches_http_request_duration_seconds',
      help: 'Time from a request to its answer; its count is the number of requests.',
      labelNames: ['route', 'method', 'status'],
      buckets: DURATION_BUCKETS_SECONDS,
    },
    registry,
  );
  /** By route, method as sent and status. Three look-ups cost less than making one key of them. */
  const requestSeries = new Map<string, Map<string, HistogramSeries[]>>();
  function seriesFor(route: string, method: string, status: number): HistogramSeries {
    // A made-up method must not become a label, nor a key that is kept.
    const knownMethod = KNOWN_METHODS.has(method) ? method : 'OTHER';
    const ofRoute = requestSeries.get(route) ?? new Map<string, HistogramSeries[]>();
    requestSeries.set(route, ofRoute);
    const ofMethod = ofRoute.get(knownMethod) ?? [];
    ofRoute.set(knownMethod, ofMethod);
    ofMethod[status] ??= requests.addSeries({ route, method: knownMethod, status: String(status) });
    return ofMethod[status];
  }
  return (route, method, status, durationMs) =>
    (requestSeries.get(route)?.get(method)?.[status] ?? seriesFor(route, method, status)).observe(
      durationMs / 1000,
    );
}

function createSharedStoreMetrics(
  registers: Registry[],
): Pick<Metrics, 'sharedStoreUsed' | 'sharedStoreChanged'> {
  const uses = new Counter({
    name: 'imagecaches_shared_store_operations_total',
    help: 'Uses of the store that instances share, by what was done and how it went.',
    labelNames: ['operation', 'result'],
    registers,
  });
  const up = new Gauge({
    name: 'imagecaches_shared_store_up',
    help: '1 while the store that instances share works; 0 when it does not, or there is none.',
    registers,
  });
  const fault = new Gauge({
    name: 'imagecaches_shared_store_fault',
    help: '1 for the cause why the store that instances share is left alone, and for what it forbids and is done without.',
    labelNames: ['cause'],
    registers,
  });
  return {
    sharedStoreUsed: (operation, result) => uses.inc({ operation, result }),
    sharedStoreChanged(isUp, faults) {
      up.set(isUp ? 1 : 0);
      fault.reset();
      for (const cause of faults) fault.set({ cause }, 1);
    },
  };
}

/** Series of the only target have no label `target`, so that dashboards and alerts need not know of it. */
type TargetLabels = { readonly target?: string };

function createTargetMetrics(registry: Registry, imageCaches: ImageCacheMetrics): Metrics['forTarget'] {
  const cache = createCacheMetrics(registry);
  const upstream = createUpstreamMetrics([registry]);
  return (target) => {
    const labels: TargetLabels = metricLabels({ target });
    return {
      ...cache(labels),
      ...upstream(labels),
      observeList: (list) => imageCaches.observe(labels, list),
    };
  };
}

type CacheMetrics = Pick<
  TargetMetrics,
  'cacheAnswered' | 'entriesDropped' | 'sharedEntryRejected' | 'observeCache'
>;

function createCacheMetrics(registry: Registry): (labels: TargetLabels) => CacheMetrics {
  const registers = [registry];
  const answers: { readonly labels: TargetLabels; readonly counts: Map<CacheOutcome, number> }[] = [];
  new Counter({
    name: 'imagecaches_cache_answers_total',
    help: 'Lists served, by how the cache came to them.',
    labelNames: ['outcome', 'target'],
    registers,
    // Counted in a map on the way of each request, and told to prom-client when somebody asks.
    collect() {
      this.reset();
      for (const { labels, counts } of answers)
        for (const [outcome, count] of counts) this.inc({ ...labels, outcome }, count);
    },
  });
  const age = new TalliedHistogram<'target'>(
    {
      name: 'imagecaches_cache_age_seconds',
      help: 'Age of the lists served.',
      labelNames: ['target'],
      buckets: AGE_BUCKETS_SECONDS,
    },
    registry,
  );
  const dropped = new Counter({
    name: 'imagecaches_entries_dropped_total',
    help: 'Entries left out of lists because they broke the model, by the first member that did.',
    labelNames: ['target', 'member'],
    registers,
  });
  const rejected = new Counter({
    name: 'imagecaches_shared_entries_rejected_total',
    help: 'Entries of the shared store that no load can have given, and were dropped.',
    labelNames: ['target'],
    registers,
  });
  const caches: { readonly labels: TargetLabels; readonly read: CacheReader }[] = [];
  const sizeGauge = (name: string, help: string, size: 'entries' | 'bytes') =>
    new Gauge({
      name,
      help,
      labelNames: ['target'],
      registers,
      collect() {
        this.reset();
        for (const { labels, read } of caches) this.inc({ ...labels }, read()[size]);
      },
    });
  sizeGauge('imagecaches_cache_entries', 'Lists held.', 'entries');
  sizeGauge('imagecaches_cache_bytes', 'Bytes that the lists held are counted with.', 'bytes');

  return (labels) => {
    const counts = new Map<CacheOutcome, number>();
    answers.push({ labels, counts });
    const ages = age.addSeries(labels);
    // From 0, so that the first increase is seen.
    for (const member of [...Object.keys(MEMBERS), 'entry']) dropped.inc({ ...labels, member }, 0);
    rejected.inc(labels, 0);
    return {
      cacheAnswered(outcome, ageMs) {
        counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
        ages.observe(ageMs / 1000);
      },
      entriesDropped: (member, count) => dropped.inc({ ...labels, member }, count),
      sharedEntryRejected: () => rejected.inc(labels),
      observeCache: (read) => caches.push({ labels, read }),
    };
  };
}

type CacheReader = Parameters<TargetMetrics['observeCache']>[0];

type UpstreamMetrics = Omit<TargetMetrics, keyof CacheMetrics | 'observeList'>;

function createUpstreamMetrics(registers: Registry[]): (labels: TargetLabels) => UpstreamMetrics {
  const calls = new Histogram({
    name: 'imagecaches_upstream_call_duration_seconds',
    help: 'Time of one attempt upstream, by its result; its count is the number of attempts.',
    labelNames: ['result', 'target'],
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  const retries = new Counter({
    name: 'imagecaches_upstream_retries_total',
    help: 'Second attempts upstream.',
    labelNames: ['target'],
    registers,
  });
  const inFlight = new Gauge({
    name: 'imagecaches_upstream_calls_in_flight',
    help: 'Attempts upstream under way.',
    labelNames: ['target'],
    registers,
  });
  const breaker = new Gauge({
    name: 'imagecaches_upstream_breaker_state',
    help: '1 for the state that the circuit breaker is in, 0 for the others.',
    labelNames: ['state', 'target'],
    registers,
  });
  const skew = new Gauge({
    name: 'imagecaches_clock_skew_seconds',
    help: "The vendor's clock minus ours, as corrected for when signing.",
    labelNames: ['target'],
    registers,
  });
  const expiry = new Gauge({
    name: 'imagecaches_credential_expiry_timestamp_seconds',
    help: 'When the credential in use expires; +Inf when it does not, 0 before there is one.',
    labelNames: ['target'],
    registers,
  });
  return (labels) => {
    const setBreaker = (current: BreakerState) => {
      for (const state of BREAKER_STATES) breaker.set({ ...labels, state }, state === current ? 1 : 0);
    };
    setBreaker('closed');
    retries.inc(labels, 0);
    for (const gauge of [inFlight, skew, expiry]) gauge.set(labels, 0);
    return {
      upstreamAnswered: (result, durationMs) => calls.observe({ ...labels, result }, durationMs / 1000),
      upstreamRetried: () => retries.inc(labels),
      upstreamInFlight: (change) => inFlight.inc(labels, change),
      breakerChanged: setBreaker,
      clockSkewMeasured: (skewMs) => skew.set(labels, skewMs / 1000),
      credentialLoaded: (expiresAtMs) =>
        expiry.set(labels, expiresAtMs === undefined ? Number.POSITIVE_INFINITY : expiresAtMs / 1000),
    };
  };
}
