import { waitUntil } from 'cloudflare:workers';
import type { Hono } from 'hono';
import { createApp } from '../app.ts';
import { ConfigError, parseConfig } from '../config.ts';
import { createCredentialProvider } from '../credentials/create-credential-provider.ts';
import type { Dependencies } from '../deps.ts';
import { NO_METRICS } from '../metrics.ts';
import { ProblemError, problemAnswer } from '../problem.ts';
import { toResponse } from '../route.ts';
import { sharedNamespace } from '../shared-namespace.ts';
import { createSeparateFlight } from '../single-flight.ts';
import { createProjectIdSource } from '../upstream/project-id.ts';
import { createEdgeEntries, type EdgeCache, isKvNamespace } from './worker/edge-entries.ts';
import { createConsoleLogger } from './worker/logger.ts';
import { createTokenDigest } from './worker/token-digest.ts';

/** The name under which a KV namespace is bound, where lists are to be shared across places. */
const KV_BINDING = 'IMAGECACHES_KV';

type Bindings = Readonly<Record<string, unknown>>;

/**
 * The app of this isolate. It is made by the first request, since bindings may be read then only, and kept, as other
 * bindings come with other isolates: it holds values and never a promise that another request would wait for.
 */
let isolateFetch: Hono['fetch'] | undefined;

function createIsolateApp(bindings: Bindings): Hono['fetch'] {
  const config = parseConfig(bindings);
  if (config.credentials.source !== 'static') {
    throw new ConfigError([
      {
        setting: 'HUAWEICLOUD_CREDENTIALS',
        fault: `cannot be ${config.credentials.source} on Workers; set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK`,
      },
    ]);
  }
  if (config.sharedStore !== undefined) {
    throw new ConfigError([
      { setting: 'REDIS_URL', fault: 'is not for Workers; bind a KV namespace as IMAGECACHES_KV instead' },
    ]);
  }
  const base: Omit<Dependencies, 'credentialProvider' | 'resolveProjectId'> = {
    // Not unbound: the global fetch heeds its this.
    fetch: (url, init) => fetch(url, init),
    now: Date.now,
    schedule: (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    hashToken: createTokenDigest(Date.now),
    readTextFile: () => Promise.reject(new Error('there are no files')),
    waitUntil,
    createSingleFlight: createSeparateFlight,
    clientAddress: (request) => request.headers.get('cf-connecting-ip') ?? undefined,
    logger: createConsoleLogger(config.logLevel, Date.now),
    metrics: NO_METRICS,
  };
  const kv = bindings[KV_BINDING];
  const entries = createEdgeEntries(
    {
      cache: (caches as unknown as { readonly default?: EdgeCache }).default,
      kv: isKvNamespace(kv) ? kv : undefined,
      namespace: () => sharedNamespace(config),
      keepStaleMs: config.cache.staleWhileRevalidateMs + config.cache.staleIfErrorMs,
    },
    base,
  );
  const { projectLookup } = config;
  const deps: Dependencies = {
    ...base,
    sharedEntries: entries,
    credentialProvider: createCredentialProvider(config.credentials, base),
    ...(projectLookup && { resolveProjectId: createProjectIdSource(projectLookup, base).get }),
  };
  return createApp(config, deps, () => 'serving').fetch;
}

/** A Worker cannot refuse to start: every request is answered 500, and the log says what is wrong, without a value. */
function misconfigured(error: ConfigError): Response {
  createConsoleLogger('error', Date.now).error({ faults: error.faults }, 'the configuration has faults');
  return toResponse(
    problemAnswer(new ProblemError('internal', { reason: 'configuration' }), crypto.randomUUID()),
  );
}

export default {
  fetch(request: Request, bindings: Bindings, context: unknown): Response | Promise<Response> {
    try {
      isolateFetch ??= createIsolateApp(bindings);
      return isolateFetch(request, bindings, context as never);
    } catch (error) {
      if (error instanceof ConfigError) return misconfigured(error);
      throw error;
    }
  },
};
