import { Hono } from 'hono';
import { except } from 'hono/combine';
import { cors } from 'hono/cors';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { consolePage } from '#pages-of-node';
import type { Lifecycle, ReadinessCheck } from './composition/readiness.ts';
import { createShared } from './composition/shared.ts';
import { createTarget } from './composition/target.ts';
import type { Config } from './config/config.ts';
import { createHits, type Hits } from './hits.ts';
import { corsOptions } from './http/cors-options.ts';
import type { AppEnv } from './http/env.ts';
import { observe } from './http/observe.ts';
import {
  answerErrors,
  methodNotAllowedAnswer,
  notFound,
  problemFor,
  throwErrorsOnly,
} from './http/on-error.ts';
import { problemResponse } from './http/problem.ts';
import { requestId, requestIdFor } from './http/request-id.ts';
import { securityHeaders } from './http/security-headers.ts';
import { trace } from './http/trace.ts';
import { vendorShaped } from './http/vendor-shaped.ts';
import { createListWithoutToken, type ListWithoutToken } from './imagecaches/list-without-token.ts';
import { createImageCacheLists } from './imagecaches/lists.ts';
import { imageCacheById, imageCaches } from './imagecaches/routes.ts';
import { openApi } from './pages/api/openapi.ts';
import { domains } from './pages/domains.ts';
import { health } from './pages/health.ts';
import { pageFiles } from './pages/page-files.ts';
import { projects } from './pages/projects.ts';
import { protectedResource } from './pages/protected-resource.ts';
import type { Platform } from './platform/platform.ts';

/** Probes and pages are not traced: there are many, and each says little. */
const UNTRACED_PATHS = [
  '/livez',
  '/readyz',
  '/.well-known/*',
  '/openapi.json',
  '/docs',
  '/docs/*',
  '/console',
  '/console/*',
];

export interface App {
  /** Answers a request. Never rejects: every error has become a problem. */
  readonly fetch: (request: Request, env?: object, context?: never) => Promise<Response>;
  /** The same for a path and RequestInit, for tests. */
  readonly request: Hono<AppEnv>['request'];
  /** What a server may ask first: see createHits. */
  readonly hits: Hits;
  /** The list as a value, for programs that are trusted by other means than a token. */
  readonly list: ListWithoutToken;
  /** Loads what the first request would wait for. Never rejects. */
  readonly warm: () => Promise<void>;
}

/**
 * The service as one Hono app, the same on every runtime.
 *
 * @param config made by parseConfig
 * @param platform everything that comes from outside
 * @param lifecycle asked at each readiness probe
 */
export function createApp(config: Config, platform: Platform, lifecycle: () => Lifecycle): App {
  const shared = createShared(config, platform);
  const target = createTarget(config.target, platform);
  const lists = createImageCacheLists(target);
  const serving: ReadinessCheck = { name: 'lifecycle', isReady: () => lifecycle() === 'serving' };

  const app = new Hono<AppEnv>();
  app.use(requestId(), observe(platform), securityHeaders());
  if (platform.tracer) app.use(except(UNTRACED_PATHS, trace(platform.tracer, config.listen)));
  if (config.corsOrigins.length > 0) app.use(cors(corsOptions(config.corsOrigins)));
  app.use(methodNotAllowed({ app, onMethodNotAllowed: methodNotAllowedAnswer }), throwErrorsOnly());

  app.route('/', health([serving, ...shared.readiness, ...target.readiness], platform));
  app.route('/', imageCaches(lists, shared.byToken, config.refreshScope));
  const forSdks = imageCaches(lists, shared.asVendor, config.refreshScope);
  forSdks.route('/', imageCacheById(lists, shared.asVendor, config.refreshScope));
  app.route('/v5', vendorShaped(forSdks, platform.logger));
  const lookUps = projects(shared.asVendor);
  lookUps.route('/', domains(shared.asVendor));
  app.route('/v3', vendorShaped(lookUps, platform.logger));
  if (config.publicUrl !== undefined) app.route('/', protectedResource(config.publicUrl, config));
  if (config.isApiDocumented) {
    app.route('/', openApi(config));
    app.route('/', pageFiles('/docs', platform.docsFiles ?? {}));
  }
  if (config.console && platform.consoleFiles) {
    app.route('/', consolePage(config));
    app.route('/', pageFiles('/console', platform.consoleFiles));
  }
  app.notFound(notFound);
  app.onError(answerErrors(platform.logger));

  return {
    fetch: async (request, env, context) => {
      try {
        return await app.fetch(request, env, context);
      } catch (error) {
        // A fault outside of the routes, such as in the middleware that observes.
        const id = requestIdFor(request.headers.get('x-request-id'));
        return problemResponse(problemFor(error, id, platform.logger), id);
      }
    },
    request: app.request,
    hits: createHits(shared, lists),
    list: createListWithoutToken(lists, platform),
    warm: async () => {
      const loadList = () => lists.cache.read(undefined);
      const isOver = () => lifecycle() === 'draining';
      await Promise.all([shared.authenticator.warm(), target.warm(loadList, isOver)]);
    },
  };
}
