import { createAnswerOrder } from './answer-order.ts';
import type { CredentialSource } from './credential-source.ts';
import { type GivenList, type GivenLists, isSurelyOlder } from './given-lists.ts';
import { createGuardRules } from './guard-rules.ts';
import { createHeldEntries } from './held-entries.ts';
import { createLoadRules } from './load-rules.ts';
import type { ModelClock } from './model-clock.ts';
import type { OtherReplica } from './other-replica.ts';
import { createRejectionMark } from './rejection-mark.ts';
import type { CallWatcher, ScriptedUpstream } from './scripted-upstream.ts';
import { isEntryServable, ROOMY_ENTRIES, type ServiceFacts, type Settings } from './service-facts.ts';
import type { Demand } from './violations.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** The wall clock may run ahead of elapsed time by so much. */
const CLOCK_MARGIN_MS = 5000;

/** What goes on when the service is restarted. */
export interface Surroundings {
  readonly settings: Settings;
  readonly clock: ModelClock;
  readonly given: GivenLists;
  readonly upstream: ScriptedUpstream;
  readonly credentials: CredentialSource;
  readonly replica: OtherReplica | undefined;
  readonly demand: Demand;
}

export interface Watch {
  readonly facts: ServiceFacts;
  readonly watcher: CallWatcher;
  /** The other replica is about to put this into the store. */
  notePut(list: GivenList): void;
}

/** Watches a service from its start on, when nothing is known of it. */
export function watchService(around: Surroundings): Watch {
  const facts = createFacts(around);
  const { held, mark, guards, loads, order, replica, credentials, settings, now } = facts;
  return {
    facts,
    watcher: {
      sent(call, others, late) {
        guards.sent(call, others, late);
        return loads.sent(call, others);
      },
      endedLate(call, ending, list) {
        guards.endedLate(call, ending);
        mark.endedLate(call, ending);
        if (list === undefined) return;
        order.note(call.key, list, now());
        // It is taken in, unless a newer load has given another.
        held.doubt(call.key);
        held.mayHold(call.key);
        loads.replaced(call.key);
      },
      ended(call, ending, list) {
        guards.ended(call, ending);
        loads.ended(call, ending);
        mark.ended(call, ending, credentials.latest);
        if (list !== undefined) {
          held.hold(list);
          order.note(call.key, list, now());
        }
        // Then what the store holds may be taken in.
        else if (settings.hasStore) for (const key of [call.key, UNFILTERED_KEY]) held.mayHold(key);
      },
    },
    notePut(list) {
      const before = held.get(list.key);
      if (!held.isUnknown(list.key)) held.mayHold(list.key);
      const isUp = replica?.state === 'up';
      const isTakenIn = before !== undefined && isSurelyOlder(before, list) && isUp;
      const isAccepted =
        Math.max(guards.lastMs('401'), mark.lockedMs) < list.begunAfterMs &&
        !guards.mayBeLocked(credentials.current);
      mark.otherSucceeded(isTakenIn && isAccepted);
      loads.replaced(list.key);
      if (isTakenIn) held.hold(list);
      else if (before !== undefined && !isSurelyOlder(list, before)) held.doubt(list.key);
      // What is said of a name is asked for by each replica, held or not.
      if (isTakenIn || (isUp && list.key !== UNFILTERED_KEY)) order.note(list.key, list, now());
    },
  };
}

function createFacts({ clock, demand, ...around }: Surroundings): ServiceFacts {
  const { now } = clock;
  const { maxEntries, random, signingMs } = around.settings;
  const facts: ServiceFacts = {
    ...around,
    now,
    startedAtMs: now(),
    isTimeLost: ({ storedAtMs }) => clock.setForwardSince(storedAtMs) > CLOCK_MARGIN_MS,
    timers: () => clock.pending,
    demand,
    held: createHeldEntries(maxEntries),
    mark: createRejectionMark(now),
    guards: createGuardRules({ now, random, signingMs, demand }),
    loads: createLoadRules({
      now,
      random,
      signingMs,
      isRoomy: maxEntries === ROOMY_ENTRIES,
      isServable: (key) => isEntryServable(facts, key),
      isTimeLost: (key) => {
        const given = facts.held.get(key);
        return given !== undefined && facts.isTimeLost(given);
      },
      demand,
    }),
    order: createAnswerOrder(),
    pending: new Set(),
  };
  return facts;
}
