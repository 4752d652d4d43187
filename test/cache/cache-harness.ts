import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { createListCache, type ListCacheOptions } from '../../src/cache/list-cache.ts';
import { createSharedFlight, type SingleFlight } from '../../src/platform/single-flight.ts';
import { createFakeClock } from '../support/fake-clock.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const CONFIG = {
  ttlMs: 30 * SECOND,
  emptyTtlMs: 5 * SECOND,
  staleWhileRevalidateMs: 5 * MINUTE,
  staleIfErrorMs: HOUR,
  maxEntries: 100,
  maxBytes: 1_048_576,
};

/** The whole list, where tests write names. */
export const LIST = '*';

export const REJECTED = new Error('rejected');
export const DOWN = new Error('down');
/** Upstream was not asked. */
export const NOT_SENT = new Error('not sent');

export function loaded(text: string, more: Partial<LoadedBody> = {}): LoadedBody {
  return { body: new TextEncoder().encode(text), isEmpty: false, ...more };
}

/** A list of `name=version` words, from which a filter takes the words of one name. */
export function loadedList(words: readonly string[]): LoadedBody {
  const encode = (text: string) => new TextEncoder().encode(text);
  return loaded(words.join(' '), {
    isEmpty: words.length === 0,
    filter: {
      empty: encode(''),
      select: (name) => {
        const matching = words.filter((word) => word.startsWith(`${name}=`));
        return matching.length === 0 ? undefined : encode(matching.join(' '));
      },
    },
  });
}

export function failWith(error: Error): () => Promise<never> {
  return () => Promise.reject(error);
}

export function nameOf(key: string): string | undefined {
  return key === LIST ? undefined : key;
}

interface SetUpOptions {
  readonly config?: Partial<typeof CONFIG>;
  readonly random?: () => number;
  readonly flight?: () => SingleFlight;
}

/** A cache of one instance with a scripted upstream. Lists are called by their name, the whole one `*`. */
export function setUp({ config = {}, random = () => 0, flight = createSharedFlight }: SetUpOptions = {}) {
  const clock = createFakeClock();
  const background: Promise<unknown>[] = [];
  const reported: unknown[] = [];
  const loads: string[] = [];
  const upstream = {
    load: async (key: string, _onLate: (loaded: LoadedBody) => void): Promise<LoadedBody> =>
      loaded(`${key} ${loads.length}`),
  };
  const options: ListCacheOptions = {
    ...CONFIG,
    ...config,
    resource: 'imagecaches',
    load: (name = LIST, onLate) => {
      loads.push(name);
      return upstream.load(name, onLate);
    },
    revive: () => undefined,
    isRejection: (error) => error === REJECTED,
    wasSent: (error) => error !== NOT_SENT,
    reportFailure: (error) => reported.push(error),
  };
  const cache = createListCache(options, {
    now: clock.now,
    elapsed: clock.elapsed,
    random,
    waitUntil: (promise) => background.push(promise),
    createSingleFlight: flight,
  });
  return {
    cache,
    clock,
    background,
    reported,
    loads,
    upstream,
    settled: () => Promise.allSettled(background),
    read: async (key: string, forceRefresh = false) => {
      const { response, outcome, forwarded, stored } = await cache.read(nameOf(key), { forceRefresh });
      return {
        text: new TextDecoder().decode(response.body),
        outcome,
        forwarded,
        stored,
        etag: response.etag,
      };
    },
  };
}
