import { FORCED_INTERVAL_MS } from './contract-numbers.ts';
import { type GivenList, isSurelyOlder } from './given-lists.ts';
import { type ServiceFacts, servedAtOnceUntilMs } from './service-facts.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** A refresh before its time begins no earlier than this many load times before the end: ln 2 and a little more. */
const EARLY_LOADS = 0.7;

/** What a read has to come to, before anything else happens. */
export interface ExpectedAnswer {
  /** It has to be answered at once, with data whose load began no earlier than this; undefined: it may wait. */
  readonly atOnceSinceMs: number | undefined;
  /** It makes no call. */
  readonly isQuiet: boolean;
  /** It makes a call, or takes what another replica has loaded. */
  readonly isCall: boolean;
  /** Keys that may be loaded for it, but for the list instead of many names. */
  readonly loads: readonly string[];
}

export function expectAnswer(facts: ServiceFacts, key: string, isForced: boolean): ExpectedAnswer {
  const { held, now, mark, settings } = facts;
  const own = held.get(key);
  const list = key === UNFILTERED_KEY ? undefined : held.get(UNFILTERED_KEY);
  const isListSure = held.get(UNFILTERED_KEY) !== undefined || held.isUnknown(UNFILTERED_KEY);
  const isOwnSure = own !== undefined || held.isUnknown(key);
  // A list that is held, or may be, is loaded for the names that it answers.
  const loads = held.isUnknown(UNFILTERED_KEY) ? [key] : [...new Set([key, UNFILTERED_KEY])];
  const isCall = mustCall(facts, key, isForced);
  const anything = { atOnceSinceMs: undefined, isQuiet: false, isCall, loads };
  const shared = sharedInstead(facts, key, isForced);
  if (shared !== undefined)
    return { atOnceSinceMs: shared.begunAfterMs, isQuiet: settings.random === 0, isCall: false, loads };
  if (isForced && !isLimited(facts, key, own, list)) return anything;

  const newest = newestOf(own, list);
  if (newest === undefined || facts.isTimeLost(newest)) return anything;
  const { begunAfterMs, freshUntilMs, longestLoadMs } = newest;
  if (now() < freshUntilMs) {
    // What a newer load has said of the name has times of its own, which may be over before those of the list.
    if (own === undefined && key !== UNFILTERED_KEY && facts.order.mayBeOutdated(key, newest))
      return anything;
    const isEarly = freshUntilMs - now() < EARLY_LOADS * longestLoadMs;
    // What may be held or not may be newer, and is refreshed then.
    const isQuiet = isOwnSure && isListSure && (settings.random === 0 || !isEarly);
    return { atOnceSinceMs: begunAfterMs, isQuiet, isCall: false, loads: isQuiet ? [] : loads };
  }
  // What was said of a name whose own entry was evicted may count more than a stale list, and be over before it.
  const isRemembered = key !== UNFILTERED_KEY && own === undefined && !held.isUnknown(key);
  const isAtOnce = !isRemembered && !mark.mayBeOver && now() < servedAtOnceUntilMs(facts, newest);
  return isAtOnce ? { ...anything, atOnceSinceMs: begunAfterMs } : anything;
}

function newestOf(own: GivenList | undefined, list: GivenList | undefined): GivenList | undefined {
  if (own === undefined || list === undefined) return own ?? list;
  if (isSurelyOlder(list, own)) return own;
  if (own.begunUntilMs <= list.begunAfterMs) return list;
  // Either may answer: what holds for both.
  const least = (time: 'begunAfterMs' | 'storedAtMs' | 'freshUntilMs') => Math.min(own[time], list[time]);
  return {
    ...list,
    begunAfterMs: least('begunAfterMs'),
    storedAtMs: least('storedAtMs'),
    freshUntilMs: least('freshUntilMs'),
    longestLoadMs: Math.max(own.longestLoadMs, list.longestLoadMs),
  };
}

/** A forced read that comes so soon after the last load that it is one like any other. */
function isLimited(
  { loads, now }: ServiceFacts,
  key: string,
  own: GivenList | undefined,
  list: GivenList | undefined,
): boolean {
  if (own !== undefined && loads.isForcedLimited(key)) return true;
  return list !== undefined && now() < list.freshUntilMs && loads.isForcedLimited(UNFILTERED_KEY);
}

/** True when the read itself decides what happens at once: no load is under way and no turn is taken. */
function isIdle({ replica, pending, timers, settings }: ServiceFacts): boolean {
  if (settings.signingMs > 0) return false;
  const isStoreQuiet = replica === undefined || (replica.state !== 'slow' && replica.turns.size === 0);
  return isStoreQuiet && pending.size === 0 && timers() === 0;
}

function mustCall(facts: ServiceFacts, key: string, isForced: boolean): boolean {
  const { guards, held, loads, now, upstream, credentials } = facts;
  const keys = [key, UNFILTERED_KEY];
  if (!isIdle(facts) || !guards.isOpen(credentials.current, upstream.underWay)) return false;
  const isUnknown = keys.every((each) => held.isUnknown(each));
  if (isUnknown) return true;
  if (guards.wasTroubled()) return false;
  if (isForced)
    return keys.every(
      (each) => held.isUnknown(each) || (held.get(each) !== undefined && loads.isForcedFree(each)),
    );
  // Neither may be fresh, as far as is known.
  return keys.every((each) => {
    const given = held.get(each);
    return held.isUnknown(each) || (given !== undefined && now() >= given.freshUntilMs);
  });
}

/** What another replica has loaded that is taken instead of a call: nothing is held here, or a read is forced just after. */
function sharedInstead(facts: ServiceFacts, key: string, isForced: boolean): GivenList | undefined {
  const { held, loads, now, replica } = facts;
  if (replica?.state !== 'up' || !isIdle(facts)) return undefined;
  if (key !== UNFILTERED_KEY && loads.mayLoadListForNames()) return undefined;
  const given = facts.given.ofEntry(key, replica.entries.get(key));
  if (given === undefined || now() >= given.freshUntilMs) return undefined;
  const isNew =
    given.origin === 'replica' && now() - (given.storedAtMs - given.longestLoadMs) < FORCED_INTERVAL_MS;
  const isUnknown = held.isUnknown(key) && held.isUnknown(UNFILTERED_KEY);
  return (isForced ? isNew : isUnknown) ? given : undefined;
}
