import { type GivenList, isSurelyOlder } from './given-lists.ts';

/** What the cache holds for sure. Of what it may have evicted nothing is said. */
export interface HeldEntries {
  /** Begins a step; what happens within one step may have happened in any order. */
  beginStep(): void;
  /** The key may have been used. */
  touch(key: string): void;
  /** The list was loaded: it is held now, unless one is whose load began later. */
  hold(given: GivenList): void;
  /** An answer shows that the list was held a moment ago. */
  confirm(given: GivenList): void;
  /** What the shared store has of the key may be taken in, now or at any later time. */
  mayHold(key: string): void;
  /** What is held of the key is no longer known. */
  doubt(key: string): void;
  /** The list that is held for sure. */
  get(key: string): GivenList | undefined;
  /** True when surely nothing was ever held of the key. */
  isUnknown(key: string): boolean;
}

/** @param maxEntries of the cache, which drops the least recently used key */
export function createHeldEntries(maxEntries: number): HeldEntries {
  let step = 0;
  const held = new Map<string, { readonly given: GivenList; readonly step: number }>();
  const touched = new Map<string, number>();
  const known = new Set<string>();

  function touch(key: string, atStep = step): void {
    touched.set(key, Math.max(atStep, touched.get(key) ?? 0));
  }

  function hold(given: GivenList): void {
    touch(given.key);
    known.add(given.key);
    held.set(given.key, { given, step });
  }

  function mayHold(key: string): void {
    known.add(key);
    touch(key, Number.POSITIVE_INFINITY);
  }

  return {
    beginStep() {
      step += 1;
    },
    touch: (key) => touch(key),
    hold(given) {
      const newest = held.get(given.key)?.given;
      if (newest === undefined || newest.begunUntilMs <= given.begunAfterMs) hold(given);
      else if (!isSurelyOlder(given, newest)) {
        held.delete(given.key);
        mayHold(given.key);
      }
    },
    confirm(given) {
      const newest = held.get(given.key)?.given;
      if (newest === undefined || !isSurelyOlder(given, newest)) hold(given);
    },
    mayHold,
    doubt(key) {
      held.delete(key);
    },
    get(key) {
      const entry = held.get(key);
      if (entry === undefined) return undefined;
      let others = 0;
      for (const [other, at] of touched) if (other !== key && at >= entry.step) others += 1;
      return others < maxEntries ? entry.given : undefined;
    },
    isUnknown: (key) => !known.has(key),
  };
}
