import type { LookUp, SharedEntries, SharedEntry } from '../../../src/fleet/entries.ts';
import type { Platform } from '../../../src/platform/platform.ts';
import { createMemorySharedStore } from '../../support/memory-shared-store.ts';
import { freshLifeMs, type GivenList, type GivenLists, servedText } from './given-lists.ts';
import { fromStoreKey, toStoreKey, UNFILTERED_KEY } from './whole-list.ts';

export type StoreState = 'up' | 'slow' | 'down';
type Settle = (entry?: SharedEntry) => Promise<void>;

/** What the store takes when it is slow: 40 ms, less than the 50 ms that are waited for it. */
const SLOW_MS = 40;

export interface OtherReplica {
  state: StoreState;
  /** Turns that the other replica holds. */
  readonly turns: ReadonlyMap<string, unknown>;
  readonly entries: ReadonlyMap<string, SharedEntry>;
  /** The store, as the service sees it from its start on. */
  connect(): SharedEntries;
  /** The service was stopped: the store lets go of the turns it holds, as a lease does. */
  disconnect(): Promise<void>;
  /** Takes the turn to load a key, unless the service holds it. */
  takeTurn(key: string): Promise<void>;
  /**
   * Ends a turn.
   *
   * @param names that exist; undefined: its load has failed
   * @param lateMs it was stored there so long ago, and is only told now
   */
  endTurn(key: string, names: ReadonlySet<string> | undefined, lateMs?: number): Promise<void>;
  /** Somebody puts there what no load can have given. */
  poison(key: string): void;
}

/** @param watchPut told of each list that the other replica is about to put there */
export function createOtherReplica(
  given: GivenLists,
  { now, schedule }: Pick<Platform, 'now' | 'schedule'>,
  watchPut: (list: GivenList) => void,
): OtherReplica {
  const store = createMemorySharedStore({ schedule });
  const replica = store.connect();
  const turns = new Map<string, { readonly settle: Settle; readonly begunAtMs: number }>();
  /** Turns of the service. */
  const serviceTurns = new Set<Settle>();
  /** Turns that ended while the store was down: their lease ends them. */
  const lostTurns = new Set<Settle>();
  let state: StoreState = 'up';

  const lag = (): Promise<void> => new Promise((resolve) => schedule(resolve, SLOW_MS));

  async function letGo(settles: Set<Settle>): Promise<void> {
    for (const settle of settles) {
      settles.delete(settle);
      if (store.isUp) await settle();
      else lostTurns.add(settle);
    }
  }

  function watched(found: LookUp): LookUp {
    if (found.state !== 'ours') return found;
    const { settle } = found;
    serviceTurns.add(settle);
    return {
      state: 'ours',
      settle: async (entry) => {
        if (state === 'slow') await lag();
        serviceTurns.delete(settle);
        if (!store.isUp) lostTurns.add(settle);
        await settle(entry);
      },
    };
  }

  return {
    get state() {
      return state;
    },
    set state(next) {
      state = next;
      store.isUp = next !== 'down';
      if (store.isUp) void letGo(lostTurns);
    },
    turns,
    entries: store.entries,
    connect() {
      const entries = store.connect();
      return {
        ...entries,
        lookUp: async (storeKey, serves) => {
          if (state === 'slow') await lag();
          return watched(await entries.lookUp(fromStoreKey(storeKey), serves));
        },
        get: async (storeKey) => {
          if (state === 'slow') await lag();
          return entries.get(fromStoreKey(storeKey));
        },
        discard: (storeKey) => entries.discard(fromStoreKey(storeKey)),
        onShared: (listener) => entries.onShared?.((key) => listener(toStoreKey(key))),
      };
    },
    disconnect: () => letGo(serviceTurns),
    async takeTurn(key) {
      if (!store.isUp || turns.has(key)) return;
      const found = await replica.lookUp(key, () => false);
      if (found.state === 'ours') turns.set(key, { settle: found.settle, begunAtMs: now() });
    },
    async endTurn(key, names, lateMs = 0) {
      const turn = turns.get(key);
      if (turn === undefined) return;
      turns.delete(key);
      if (!store.isUp) {
        lostTurns.add(turn.settle);
        return;
      }
      if (names === undefined) {
        await turn.settle();
        return;
      }
      const listed = [...names].filter((name) => key === UNFILTERED_KEY || name === key);
      // Its lists may be fresh for longer than those of this one.
      const lifeMs = 2 * freshLifeMs(listed);
      const storedAtMs = now() - lateMs;
      const begunAtMs = Math.min(turn.begunAtMs, storedAtMs);
      const freshUntilMs = storedAtMs + lifeMs;
      const begun = { begunAfterMs: begunAtMs, begunUntilMs: begunAtMs };
      const list = given.add({ key, names: listed, ...begun, storedAtMs }, { freshUntilMs });
      watchPut(list);
      await turn.settle({ body: encode(servedText(list, key)), begunAtMs, storedAtMs, freshUntilMs });
    },
    poison(key) {
      // A list of another name, or for the list one that another program has written.
      const list = servedText({ number: -1, names: ['somebody-elses'] }, UNFILTERED_KEY);
      const body = encode(key === UNFILTERED_KEY ? ` ${list}` : list);
      store.entries.set(key, { body, begunAtMs: now(), storedAtMs: now(), freshUntilMs: now() + 60_000 });
    },
  };
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
