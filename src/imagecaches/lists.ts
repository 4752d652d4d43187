import type { CachedResponse } from '../cache/cached-response.ts';
import { createEncodedBodies, type EncodedBodies, type Representation } from '../cache/encoded-bodies.ts';
import { createListCache, type ListCache } from '../cache/list-cache.ts';
import type { Target } from '../composition/target.ts';
import { preferredCoding } from '../http/accept-encoding.ts';
import { describeError } from '../observability/describe-error.ts';
import { traceRefresh } from '../observability/trace-refresh.ts';
import { UpstreamError, wasSent } from '../vendor/upstream-error.ts';
import { imageCachesLoader, reviveImageCaches } from './load.ts';

/** What the resource is called in keys. */
const RESOURCE = 'imagecaches';
/** The path of the resource, below the service and below the vendor's `/v5`. */
export const IMAGE_CACHES_PATH = '/imagecaches';

/** The lists of image caches of one target. */
export interface ImageCacheLists {
  readonly target: Target;
  readonly cache: ListCache;
  /** The value of Vary. */
  readonly vary: string;
  /** The body in the coding that the caller likes best. */
  represent(
    response: CachedResponse,
    acceptEncoding: string | null,
  ): Representation | Promise<Representation>;
  /** What `represent` would give at once; undefined when it would compress. Starts nothing. */
  peekRepresentation(response: CachedResponse, acceptEncoding: string | null): Representation | undefined;
}

/** Builds the cache of the resource over a target. */
export function createImageCacheLists(target: Target): ImageCacheLists {
  const { config, entries, platform } = target;
  const { compress, logger, metrics, tracer } = platform;
  const cache = createListCache(
    {
      ...config.cache,
      target: config.name,
      resource: RESOURCE,
      load: imageCachesLoader(target.upstream, platform),
      revive: reviveImageCaches,
      isRejection: (error) => error instanceof UpstreamError && error.kind === 'upstream_rejected',
      wasSent: (error) => !(error instanceof UpstreamError) || wasSent(error),
      // The client has logged each fault of upstream; what is left is a fault of ours.
      reportFailure: (error) => {
        if (!(error instanceof UpstreamError))
          logger.error({ error: describeError(error) }, 'a refresh failed');
      },
      ...(entries && {
        shared: {
          entries,
          reportInvalid: target.reportInvalidEntry,
          waitMs: config.upstream.deadlineMs,
        },
      }),
      ...(tracer && { aroundRefresh: traceRefresh(tracer, IMAGE_CACHES_PATH) }),
    },
    platform,
  );
  metrics.observeCache(() => cache);
  metrics.observeList({ region: config.region, now: platform.now, elapsed: platform.elapsed, cache });
  const encodedBodies: EncodedBodies | undefined =
    compress && createEncodedBodies(config.cache.maxBytes, { ...platform, compress });
  return {
    target,
    cache,
    vary: encodedBodies === undefined ? 'Authorization' : 'Authorization, Accept-Encoding',
    represent(response, acceptEncoding) {
      const coding = encodedBodies && preferredCoding(acceptEncoding);
      return coding === undefined ? response : (encodedBodies as EncodedBodies).get(response, coding);
    },
    peekRepresentation(response, acceptEncoding) {
      const coding = encodedBodies && preferredCoding(acceptEncoding);
      return coding === undefined ? response : encodedBodies?.peek(response, coding);
    },
  };
}
