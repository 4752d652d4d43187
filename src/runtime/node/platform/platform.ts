import { performance } from 'node:perf_hooks';
import type { Config, CredentialConfig } from '../../../config/config.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Metrics } from '../../../observability/metrics.ts';
import type { Platform } from '../../../platform/platform.ts';
import { createSharedFlight } from '../../../platform/single-flight.ts';
import { createClientAddress } from './client-address.ts';
import { compress } from './compress.ts';
import { createConsoleFiles } from './console-files.ts';
import { createNodeDigests } from './digests.ts';
import { createDocsFiles } from './docs-files.ts';
import { type ConnectionBegin, createNodeFetch } from './fetch.ts';
import { type ChooseProxy, createProxyChooser } from './outbound/choose-proxy.ts';
import { type Connect, createConnector } from './outbound/connector.ts';
import { readTextFile } from './read-text-file.ts';

export interface NodePlatformOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Told of each outbound connection. */
  readonly connectionOpened?: (begin: ConnectionBegin) => void;
}

export interface NodePlatform {
  readonly platform: Platform;
  /** Resolves when no background work is left. */
  readonly backgroundEnded: () => Promise<unknown>;
  /** How connections leave. */
  readonly outbound: Outbound;
  /** Closes outbound connections. */
  readonly close: () => Promise<void>;
}

export interface Outbound {
  readonly chooseProxy: ChooseProxy;
  readonly connect: Connect;
  /** Milliseconds. */
  readonly connectTimeoutMs: number;
}

/** What the core needs from Node. The shared store and the tracer, which are loaded only where wanted, are added to it. */
export function createNodePlatform(
  config: Config,
  { logger, metrics, connectionOpened }: NodePlatformOptions,
): NodePlatform {
  const outbound = createOutbound(config);
  const { fetch, close } = createNodeFetch(outbound.connect, connectionOpened);
  const background = new Set<Promise<unknown>>();
  return {
    platform: {
      fetch,
      now: Date.now,
      elapsed: () => performance.now(),
      schedule: (callback, delayMs) => {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
      random: Math.random,
      digests: createNodeDigests(),
      compress,
      readTextFile,
      waitUntil: (promise) => {
        background.add(promise);
        promise.finally(() => background.delete(promise));
      },
      createSingleFlight: createSharedFlight,
      docsFiles: createDocsFiles(),
      consoleFiles: createConsoleFiles(),
      logger,
      metrics,
      ...(config.trustedProxies && { clientAddress: createClientAddress(config.trustedProxies) }),
    },
    backgroundEnded: () => Promise.allSettled(background),
    outbound,
    close,
  };
}

function createOutbound({ network, target: { upstream, credentials } }: Config): Outbound {
  const { connectTimeoutMs } = upstream;
  const chooseProxy = createProxyChooser(network, urlsOfNode(credentials));
  return {
    chooseProxy,
    connectTimeoutMs,
    connect: createConnector({ timeoutMs: connectTimeoutMs, chooseProxy }),
  };
}

/** What gives a credential to this node or pod, and to no proxy. */
function urlsOfNode(credentials: CredentialConfig): readonly string[] {
  if (credentials.source === 'pod') return [credentials.uri];
  return credentials.source === 'metadata' ? [credentials.endpoint] : [];
}
