import type { SharedEntries, SharedEntry } from '../../src/fleet/entries.ts';
import type { Platform } from '../../src/platform/platform.ts';

export interface MemorySharedStore {
  /** As one more instance sees it. */
  readonly connect: () => SharedEntries;
  readonly entries: Map<string, SharedEntry>;
  readonly discarded: string[];
  /** Down: it does nothing and knows nothing. */
  isUp: boolean;
}

/** What a store has to do, with nothing of a server: turns that end when they are settled, and messages at once. */
export function createMemorySharedStore({ schedule }: Pick<Platform, 'schedule'>): MemorySharedStore {
  const entries = new Map<string, SharedEntry>();
  const turns = new Map<string, symbol>();
  const waiting = new Map<string, (() => void)[]>();
  const listeners: { readonly owner: symbol; readonly tell: (key: string) => void }[] = [];
  const store: MemorySharedStore = { entries, discarded: [], isUp: true, connect };

  function connect(): SharedEntries {
    const owner = Symbol('instance');
    return {
      async lookUp(key, serves) {
        const entry = store.isUp ? entries.get(key) : undefined;
        if (entry !== undefined && serves(entry)) return { state: 'served' };
        if (store.isUp && turns.has(key)) {
          const changed = new Promise<void>((resolve) => {
            waiting.set(key, [...(waiting.get(key) ?? []), resolve]);
            schedule(resolve, 500);
          });
          return { state: 'taken', changed };
        }
        const turn = Symbol('turn');
        if (store.isUp) turns.set(key, turn);
        return {
          state: 'ours',
          settle: async (loaded) => {
            if (!store.isUp) return;
            if (turns.get(key) === turn) turns.delete(key);
            if (loaded !== undefined) entries.set(key, loaded);
            for (const resolve of waiting.get(key) ?? []) resolve();
            waiting.delete(key);
            if (loaded === undefined) return;
            for (const listener of listeners) if (listener.owner !== owner) listener.tell(key);
          },
        };
      },
      get: async (key) => (store.isUp ? entries.get(key) : undefined),
      discard: (key) => {
        store.discarded.push(key);
        entries.delete(key);
      },
      onShared: (tell) => {
        listeners.push({ owner, tell });
      },
    };
  }
  return store;
}
