import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { createAuthenticateCaller, createCallerLimits } from './auth/authenticate-caller.ts';
import { createSignatureVerifier } from './auth/inbound-signature.ts';
import { createAuthenticator } from './auth/verify-token.ts';
import { createEncodedBodies } from './cache/encoded-bodies.ts';
import { createListCache } from './cache/list-cache.ts';
import { createTarget } from './composition/target.ts';
import type { Config } from './config/config.ts';
import { createNamespace } from './fleet/namespace.ts';
import { ProblemError } from './http/problem.ts';
import { type ErrorForm, type ScopedHandler, scoped } from './http/request-scope.ts';
import { type Route, toResponse } from './http/route.ts';
import { traced, tracedRefresh } from './http/trace.ts';
import { vendorErrorAnswer } from './http/vendor-error.ts';
import { imageCachesLoader, reviveImageCaches } from './imagecaches/load.ts';
import { imageCachesHandler } from './imagecaches/routes.ts';
import { describeError } from './observability/describe-error.ts';
import { docsHandler } from './pages/api/docs.ts';
import { openApiHandler } from './pages/api/openapi.ts';
import { consoleHandler } from './pages/console/page.ts';
import { type Lifecycle, livez, type ReadinessCheck, readyz } from './pages/health.ts';
import { projectsHandler } from './pages/projects.ts';
import type { Platform } from './platform/platform.ts';
import { whenReady } from './platform/when-ready.ts';
import { UpstreamError } from './vendor/upstream-error.ts';

export interface App {
  /** Answers a request. Never rejects: every error has become a problem. */
  readonly fetch: Hono['fetch'];
  /** The same for a path and RequestInit, for tests. */
  readonly request: Hono['request'];
  /**
   * What `fetch` leads to for GET and HEAD, by path, for a server that finds its way there without Hono. Empty where
   * middleware has a say in the answers.
   */
  readonly routes: Readonly<Record<string, Route>>;
  /** Gets what the first request would wait for. Never rejects. */
  readonly warm: () => Promise<void>;
}

/**
 * The service as one Hono app, the same on every runtime.
 *
 * @param config made by parseConfig
 * @param deps all that it needs from outside
 * @param lifecycle asked at each readiness probe
 */
export function createApp(config: Config, deps: Platform, lifecycle: () => Lifecycle): App {
  const authenticator = createAuthenticator(config, deps);
  const target = createTarget(config.target, deps);
  const use = deps.fleet?.openUse?.(createNamespace([config.target]));
  const cache = createListCache(
    {
      ...target.config.cache,
      target: target.config.name,
      resource: 'imagecaches',
      load: imageCachesLoader(target.upstream, target.platform),
      revive: reviveImageCaches,
      isRejection: (error) => error instanceof UpstreamError && error.kind === 'upstream_rejected',
      // The client has logged each fault of upstream; what is left is a fault of ours.
      reportFailure: (error) => {
        if (!(error instanceof UpstreamError))
          deps.logger.error({ error: describeError(error) }, 'a refresh failed');
      },
      ...(target.entries && {
        shared: {
          entries: target.entries,
          reportInvalid: () => {
            target.platform.metrics.sharedEntryRejected();
            deps.logger.warn({}, 'a shared entry that no load can have given was dropped');
          },
          waitMs: target.config.upstream.deadlineMs,
        },
      }),
      ...(deps.tracer && { aroundRefresh: tracedRefresh(deps.tracer, '/imagecaches') }),
    },
    deps,
  );
  const { compress } = deps;
  const encodedBodies = compress && createEncodedBodies(target.config.cache.maxBytes, { ...deps, compress });
  target.platform.metrics.observeCache(() => cache);

  const checks: ReadinessCheck[] = [
    { name: 'lifecycle', isReady: () => lifecycle() === 'serving' },
    { name: 'keys', isReady: authenticator.keysUsable, recover: authenticator.warm },
    {
      name: 'credentials',
      isReady: target.credentials.usable,
      recover: target.credentials.warm,
    },
  ];

  const limits = createCallerLimits(config, { ...deps, sharedUse: use });
  const byToken = createAuthenticateCaller({ authenticator, limits }, config, deps);
  const signatures = config.sdkClients && createSignatureVerifier(config.sdkClients, deps);
  const byTokenOrSignature = createAuthenticateCaller({ authenticator, signatures, limits }, config, deps);
  const route = (path: string, handler: ScopedHandler, ...more: [level?: 'info', toAnswer?: ErrorForm]) =>
    traced(deps.tracer, path, scoped(path, deps, handler, ...more));

  const app = new Hono();
  if (config.corsOrigins.length > 0) app.use(cors(corsOptions(config.corsOrigins)));
  const routes: Record<string, Route> = {
    '/imagecaches': route(
      '/imagecaches',
      imageCachesHandler(byToken, cache, encodedBodies, config, target.platform),
    ),
    '/v5/imagecaches': route(
      '/v5/imagecaches',
      imageCachesHandler(byTokenOrSignature, cache, encodedBodies, config, target.platform),
      'info',
      vendorErrorAnswer,
    ),
    ...(signatures && {
      '/v3/projects': route('/v3/projects', projectsHandler(byTokenOrSignature), 'info', vendorErrorAnswer),
    }),
    ...(config.isApiDocumented && {
      '/openapi.json': scoped('/openapi.json', deps, openApiHandler(config)),
      ...Object.fromEntries(
        Object.entries(deps.docsFiles ?? {}).map(([path, read]) => [
          path,
          scoped('/docs', deps, docsHandler(read)),
        ]),
      ),
    }),
    ...(config.console &&
      deps.consoleFiles && {
        '/console': scoped('/console', deps, consoleHandler(config)),
        ...Object.fromEntries(
          Object.entries(deps.consoleFiles).map(([path, read]) => [
            path,
            scoped('/console', deps, docsHandler(read)),
          ]),
        ),
      }),
    // Probes are not traced: there are many, and each says little.
    '/livez': scoped('/livez', deps, livez(), 'debug'),
    '/readyz': scoped('/readyz', deps, readyz(checks, deps.waitUntil), 'debug'),
  };
  // Hono answers HEAD from the GET handler. Each path has one handler only: with two that match, Hono chains
  // them, and every answer becomes a promise.
  for (const [path, handle] of Object.entries(routes)) app.get(path, (c) => respond(c, handle));
  const unmatched = (refuse: () => never) =>
    traced(deps.tracer, undefined, scoped('unmatched', deps, refuse));
  const notAllowed = unmatched(refuseMethod);
  const notFound = unmatched(refusePath);
  app.notFound((c) => respond(c, Object.hasOwn(routes, c.req.path) ? notAllowed : notFound));
  const warm = async () => {
    await Promise.all([authenticator.warm(), target.warm()]);
  };
  return {
    fetch: app.fetch,
    request: app.request,
    routes: config.corsOrigins.length > 0 ? {} : routes,
    warm,
  };
}

/** The answer of a route, as Hono wants it. */
function respond(c: Context, route: Route): Response | Promise<Response> {
  const { raw } = c.req;
  const { method, url, headers } = raw;
  const request = { method, url, target: url, headers, env: c.env as unknown };
  return whenReady(route(request), toResponse);
}

/** What a page of a configured origin may send and read. It needs no cookie: callers bring a token. */
function corsOptions(origins: readonly string[]): Parameters<typeof cors>[0] {
  return {
    origin: [...origins],
    allowMethods: ['GET', 'HEAD'],
    allowHeaders: ['authorization', 'cache-control', 'if-none-match', 'x-request-id'],
    exposeHeaders: [
      'age',
      'cache-status',
      'etag',
      'ratelimit',
      'ratelimit-policy',
      'retry-after',
      'x-request-id',
    ],
    maxAge: 600,
  };
}

function refusePath(): never {
  throw new ProblemError('not_found', { detail: 'there is nothing at this path' });
}

/** RFC 9110, section 15.5.6: a 405 says what is allowed. */
function refuseMethod(): never {
  throw new ProblemError('method_not_allowed', {
    detail: 'only GET and HEAD are allowed here',
    headers: { allow: 'GET, HEAD' },
  });
}
