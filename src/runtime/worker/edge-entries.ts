import { hasEqualBytes } from '../../cache/has-equal-bytes.ts';
import type { SharedEntries, SharedEntry } from '../../fleet/entries.ts';
import {
  ENTRY_FORMAT,
  type EntryFields,
  readEntryFields,
  writeEntryTimes,
} from '../../fleet/entry-fields.ts';
import type { SharedEntriesOptions } from '../../fleet/fleet.ts';
import { runWithin } from '../../outbound/run-within.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Schedule } from '../../platform/schedule.ts';

/** No request waits longer for the Cache API and KV together: 200 ms, since KV may ask a far place. */
export const EDGE_TIMEOUT_MS = 200;
/** A list that has not changed is written to KV again after this time: 5 minutes, which makes 288 writes a day. */
export const KV_REWRITE_MS = 300_000;
/** KV keeps an entry for at least two such times, so that it is still there at the next write: 10 minutes. */
const LEAST_KV_SECONDS = 600;

/** The part of the Cache API that is used: https://developers.cloudflare.com/workers/runtime-apis/cache/ */
export interface EdgeCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

/** The part of KV that is used: https://developers.cloudflare.com/kv/api/ */
export interface KvNamespace {
  getWithMetadata(
    key: string,
    type: 'arrayBuffer',
  ): Promise<{ readonly value: ArrayBuffer | null; readonly metadata: unknown }>;
  put(
    key: string,
    value: Uint8Array,
    options: { readonly expirationTtl: number; readonly metadata: object },
  ): Promise<void>;
  delete(key: string): Promise<void>;
}

/** The stores that isolates share. */
export interface EdgeStores {
  /** Opens the cache of this place, if there is one to use. A promise belongs to the request that asks. */
  readonly openCache: () => Promise<EdgeCache | undefined>;
  /**
   * Start of the cache's keys: `https://` and the host of the Worker itself, as the vendor asks for
   * (https://developers.cloudflare.com/workers/runtime-apis/cache/).
   */
  readonly origin: () => string;
  readonly kv: KvNamespace | undefined;
}

/** @returns undefined when the work failed, or took too long */
export async function withinEdge<Value>(
  schedule: Schedule,
  work: () => Promise<Value>,
): Promise<Value | undefined> {
  try {
    return await runWithin(EDGE_TIMEOUT_MS, schedule, work);
  } catch {
    return undefined;
  }
}

/** Is this binding a KV namespace? */
export function isKvNamespace(binding: unknown): binding is KvNamespace {
  return typeof binding === 'object' && binding !== null && 'getWithMetadata' in binding && 'put' in binding;
}

/**
 * Entries shared through the Cache API, by the isolates of one place, and through KV, by all places. Neither has
 * turns or messages, so isolates load without knowing of each other; a forced refresh reaches the others when what they
 * hold is no longer fresh. KV shows a change elsewhere after a minute or more, so it helps a place that has nothing
 * more than one that wants something newer.
 *
 * An entry replaces only what was loaded before it, as far as one can see: neither store compares and writes in one step.
 */
export function createEdgeEntries(
  { openCache, origin, kv, namespace, keepStaleMs, reportInvalid }: EdgeStores & SharedEntriesOptions,
  deps: Pick<Platform, 'now' | 'elapsed' | 'schedule' | 'waitUntil'>,
): SharedEntries {
  async function addressOf(key: string): Promise<{ readonly url: string; readonly kvKey: string }> {
    const start = await namespace();
    return { url: `${origin()}/${start}/${key}`, kvKey: `${start}:entry:${key}` };
  }

  /** @param report told of an entry that cannot be read; the next load replaces it */
  async function readCache(key: string, report = reportInvalid): Promise<SharedEntry | undefined> {
    const response = await (await openCache())?.match((await addressOf(key)).url);
    if (response === undefined) return undefined;
    const { headers } = response;
    const [format, begun, stored, fresh] = ['format', 'begun', 'stored', 'fresh'].map(
      (name) => headers.get(`x-entry-${name}`) ?? undefined,
    );
    const body = new Uint8Array(await response.arrayBuffer());
    return readFields({ format, begun, stored, fresh, body }, report);
  }

  function readFields(fields: EntryFields, report = () => {}): SharedEntry | undefined {
    const entry = readEntryFields(fields, deps.now());
    if (entry === undefined) report();
    return entry;
  }

  async function readKv(key: string, report = reportInvalid): Promise<SharedEntry | undefined> {
    const found = await kv?.getWithMetadata((await addressOf(key)).kvKey, 'arrayBuffer');
    if (found === undefined || found.value === null || typeof found.metadata !== 'object') return undefined;
    return readFields({ ...found.metadata, body: new Uint8Array(found.value) }, report);
  }

  function keepSecondsOf({ freshUntilMs }: SharedEntry): number {
    return Math.max(1, Math.ceil((freshUntilMs - deps.now() + keepStaleMs) / 1000));
  }

  async function putHere(key: string, entry: SharedEntry): Promise<void> {
    if (!isNewer(entry, await readCache(key, ignore))) return;
    const fields = { format: ENTRY_FORMAT, ...writeEntryTimes(entry) };
    const headers = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [`x-entry-${name}`, value]),
    );
    const cached = new Response(entry.body, {
      headers: { ...headers, 'cache-control': `max-age=${keepSecondsOf(entry)}` },
    });
    await (await openCache())?.put((await addressOf(key)).url, cached);
  }

  /** One write a second for each key is kept, and each costs: so what has not changed is written now and then only. */
  async function putFar(key: string, entry: SharedEntry): Promise<void> {
    const far = await readKv(key, ignore);
    if (!isNewer(entry, far)) return;
    const isDue = far === undefined || entry.storedAtMs - far.storedAtMs >= KV_REWRITE_MS;
    if (!isDue && hasEqualBytes(far.body, entry.body)) return;
    await kv?.put((await addressOf(key)).kvKey, entry.body, {
      expirationTtl: Math.max(LEAST_KV_SECONDS, keepSecondsOf(entry)),
      metadata: { format: ENTRY_FORMAT, ...writeEntryTimes(entry) },
    });
  }

  return {
    async lookUp(key, serves) {
      const isServed = await withinEdge(deps.schedule, async () => {
        const near = await readCache(key).catch(ignore);
        if (near !== undefined && serves(near)) return true;
        const far = await readKv(key);
        if (far === undefined || !isNewer(far, near) || !serves(far)) return false;
        // The next isolate of this place need not ask so far.
        deps.waitUntil(putHere(key, far).catch(ignore));
        return true;
      });
      if (isServed === true) return { state: 'served' };
      return {
        state: 'ours',
        settle: async (entry) => {
          if (entry !== undefined) await Promise.allSettled([putHere(key, entry), putFar(key, entry)]);
        },
      };
    },
    async get(key) {
      let newest: SharedEntry | undefined;
      const take = (entry: SharedEntry | undefined) => {
        if (entry !== undefined && isNewer(entry, newest)) newest = entry;
      };
      await withinEdge(deps.schedule, () =>
        Promise.allSettled([readCache(key).then(take), readKv(key).then(take)]),
      );
      return newest;
    },
    discard(key) {
      const remove = async () => {
        const { url, kvKey } = await addressOf(key);
        await Promise.allSettled([openCache().then((cache) => cache?.delete(url)), kv?.delete(kvKey)]);
      };
      deps.waitUntil(remove().catch(ignore));
    },
  };
}

function ignore(): undefined {
  return undefined;
}

/** By the start of the load: what began later says more. */
function isNewer(entry: SharedEntry, than: SharedEntry | undefined): boolean {
  return than === undefined || entry.begunAtMs > than.begunAtMs;
}
