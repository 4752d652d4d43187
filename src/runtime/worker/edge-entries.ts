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

/** No request waits longer for the Cache API and KV together: 200 ms, since KV may ask a far place. */
export const EDGE_TIMEOUT_MS = 200;
/** KV keeps nothing for less: https://developers.cloudflare.com/kv/api/write-key-value-pairs/ */
const LEAST_KV_SECONDS = 60;
/** Of a name that nobody can have, so that no request from outside leads there. */
const ORIGIN = 'https://imagecaches-bff.invalid';

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

export interface EdgeEntriesOptions extends SharedEntriesOptions {
  /** The Cache API of this place; undefined where the runtime has none. */
  readonly cache: EdgeCache | undefined;
  readonly kv: KvNamespace | undefined;
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
 */
export function createEdgeEntries(
  { cache, kv, namespace, keepStaleMs, reportInvalid }: EdgeEntriesOptions,
  deps: Pick<Platform, 'now' | 'elapsed' | 'schedule' | 'waitUntil'>,
): SharedEntries {
  async function addressOf(key: string): Promise<{ readonly url: string; readonly kvKey: string }> {
    const start = await namespace();
    return { url: `${ORIGIN}/${start}/${key}`, kvKey: `${start}:entry:${key}` };
  }

  async function readCache(key: string): Promise<SharedEntry | undefined> {
    const response = await cache?.match((await addressOf(key)).url);
    if (response === undefined) return undefined;
    const { headers } = response;
    const [format, begun, stored, fresh] = ['format', 'begun', 'stored', 'fresh'].map(
      (name) => headers.get(`x-entry-${name}`) ?? undefined,
    );
    const body = new Uint8Array(await response.arrayBuffer());
    return readFields({ format, begun, stored, fresh, body });
  }

  function readFields(fields: EntryFields): SharedEntry | undefined {
    const entry = readEntryFields(fields, deps.now());
    // The next load replaces it.
    if (entry === undefined) reportInvalid?.();
    return entry;
  }

  async function readKv(key: string): Promise<SharedEntry | undefined> {
    const found = await kv?.getWithMetadata((await addressOf(key)).kvKey, 'arrayBuffer');
    if (found === undefined || found.value === null || typeof found.metadata !== 'object') return undefined;
    return readFields({ ...found.metadata, body: new Uint8Array(found.value) });
  }

  /** Undefined when it failed, or took too long. */
  async function within<Value>(work: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await runWithin(EDGE_TIMEOUT_MS, deps.schedule, work, () => new Error('too late'));
    } catch {
      return undefined;
    }
  }

  async function put(key: string, entry: SharedEntry, to: 'here' | 'everywhere'): Promise<void> {
    const { url, kvKey } = await addressOf(key);
    const keepSeconds = Math.ceil((entry.freshUntilMs - deps.now() + keepStaleMs) / 1000);
    const fields = { format: ENTRY_FORMAT, ...writeEntryTimes(entry) };
    const headers = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [`x-entry-${name}`, value]),
    );
    const cached = new Response(entry.body, {
      headers: { ...headers, 'cache-control': `max-age=${Math.max(1, keepSeconds)}` },
    });
    await Promise.allSettled([
      cache?.put(url, cached),
      to === 'everywhere' &&
        kv?.put(kvKey, entry.body, {
          expirationTtl: Math.max(LEAST_KV_SECONDS, keepSeconds),
          metadata: fields,
        }),
    ]);
  }

  /** In the background, and whatever comes of it. */
  function putLater(key: string, entry: SharedEntry, to: 'here' | 'everywhere'): Promise<void> {
    return put(key, entry, to).catch(() => undefined);
  }

  return {
    async lookUp(key, serves) {
      const isServed = await within(async () => {
        const near = await readCache(key).catch(() => undefined);
        if (near !== undefined && serves(near)) return true;
        const far = await readKv(key);
        if (far === undefined || !serves(far)) return false;
        // The next isolate of this place need not ask so far.
        deps.waitUntil(putLater(key, far, 'here'));
        return true;
      });
      if (isServed === true) return { state: 'served' };
      return {
        state: 'ours',
        settle: async (entry) => {
          if (entry !== undefined) await putLater(key, entry, 'everywhere');
        },
      };
    },
    get: (key) => within(async () => (await readCache(key).catch(() => undefined)) ?? (await readKv(key))),
    discard(key) {
      const remove = async () => {
        const { url, kvKey } = await addressOf(key);
        await Promise.allSettled([cache?.delete(url), kv?.delete(kvKey)]);
      };
      deps.waitUntil(remove().catch(() => undefined));
    },
  };
}
