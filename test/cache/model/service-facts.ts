import type { AnswerOrder } from './answer-order.ts';
import type { Ask } from './answer-rules.ts';
import {
  EMPTY_FRESH_MS,
  FRESH_JITTER,
  STALE_IF_ERROR_MS,
  STALE_WHILE_REVALIDATE_MS,
} from './contract-numbers.ts';
import type { CredentialSource } from './credential-source.ts';
import type { GivenList, GivenLists } from './given-lists.ts';
import type { GuardRules } from './guard-rules.ts';
import type { HeldEntries } from './held-entries.ts';
import type { LoadRules } from './load-rules.ts';
import type { OtherReplica } from './other-replica.ts';
import type { RejectionMark } from './rejection-mark.ts';
import type { ScriptedUpstream } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

export interface Settings {
  readonly maxEntries: number;
  /** What the service takes for random numbers. */
  readonly random: number;
  readonly hasStore: boolean;
  /** How long a signature takes, in milliseconds. */
  readonly signingMs: number;
}

/** All that is known of one instance of the service, from its start on. */
export interface ServiceFacts {
  readonly settings: Settings;
  readonly now: () => number;
  readonly startedAtMs: number;
  /** The wall clock was set forward since a list was stored: it is loaded again first. */
  readonly isTimeLost: (given: GivenList) => boolean;
  /** Timers that wait; each load under way has one. */
  readonly timers: () => number;
  readonly given: GivenLists;
  readonly upstream: ScriptedUpstream;
  readonly credentials: CredentialSource;
  /** Absent: there is no shared store. */
  readonly replica: OtherReplica | undefined;
  readonly held: HeldEntries;
  readonly mark: RejectionMark;
  readonly guards: GuardRules;
  readonly loads: LoadRules;
  readonly order: AnswerOrder;
  /** Reads that wait. */
  readonly pending: Set<Ask>;
  readonly demand: Demand;
}

/** More keys than there are names: nothing is ever evicted. */
export const ROOMY_ENTRIES = 100;

/** Until when a list is served at once while it is refreshed: not for longer, and surely so long. */
export function servedAtOnceUntilMs({ settings }: ServiceFacts, given: GivenList): number {
  // Where there is a store, a newer list of a shorter life may have taken the place of this one.
  const leastMs = given.storedAtMs + EMPTY_FRESH_MS * (1 - FRESH_JITTER);
  return (settings.hasStore ? leastMs : given.freshUntilMs) + STALE_WHILE_REVALIDATE_MS;
}

/** True when the key itself is held for sure, and served while its loads fail. */
export function isEntryServable(facts: ServiceFacts, key: string): boolean {
  const given = facts.held.get(key);
  if (given === undefined || facts.mark.mayBeOver) return false;
  // What is stored at this very moment may come too late.
  return given.storedAtMs < facts.now() && facts.now() < servedOnErrorUntilMs(facts, given);
}

/** The same, or the list answers it. What is newer takes the place of what is older, also when the time of that is over. */
export function isServable(facts: ServiceFacts, key: string): boolean {
  return [key, UNFILTERED_KEY].some((each) => {
    const given = facts.held.get(each);
    return given !== undefined && isEntryServable(facts, each) && !facts.order.mayBeOutdated(key, given);
  });
}

/** True when the shared store holds something that is to be served when a load fails. */
export function isServableFromStore(facts: ServiceFacts, key: string): boolean {
  const { replica, mark } = facts;
  // In a small cache what is taken in may be evicted at once.
  const isRoomy = facts.settings.maxEntries === ROOMY_ENTRIES;
  if (replica?.state !== 'up' || mark.mayBeOver || !isRoomy) return false;
  const givens = [key, UNFILTERED_KEY]
    .map((wanted) => facts.given.ofEntry(wanted, replica.entries.get(wanted)))
    .filter((given) => given !== undefined);
  return givens.some(
    (given) => facts.now() < servedOnErrorUntilMs(facts, given) && !facts.order.mayBeOutdated(key, given),
  );
}

function servedOnErrorUntilMs(facts: ServiceFacts, given: GivenList): number {
  return servedAtOnceUntilMs(facts, given) + STALE_IF_ERROR_MS;
}
