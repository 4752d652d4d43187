import type { CredentialSource } from './credential-source.ts';
import type { GivenList, GivenLists } from './given-lists.ts';
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
  const { held, mark, guards, loads, replica, credentials, settings } = facts;
  return {
    facts,
    watcher: {
      sent(call, others, late) {
        guards.sent(call, others, late);
        loads.sent(call, others);
      },
      endedLate(call, ending) {
        guards.endedLate(call, ending);
        mark.endedLate(call, ending);
        // A late list is taken in, unless a newer load has given another.
        held.mayHold(call.key);
        loads.replaced(call.key);
      },
      ended(call, ending, list) {
        guards.ended(call, ending);
        loads.ended(call, ending);
        mark.ended(call, ending, credentials.latest);
        if (list !== undefined) held.hold(list);
        // Then what the store holds may be taken in.
        else if (settings.hasStore) for (const key of [call.key, UNFILTERED_KEY]) held.mayHold(key);
      },
    },
    notePut(list) {
      const before = held.get(list.key);
      if (!held.isUnknown(list.key)) held.mayHold(list.key);
      const isNewer = before !== undefined && before.storedAtMs < list.storedAtMs;
      const isTakenIn = isNewer && replica?.state === 'up';
      const isAccepted = guards.lastMs('401') < list.storedAtMs && !guards.mayBeLocked(credentials.current);
      mark.otherSucceeded(isTakenIn && isAccepted);
      loads.replaced(list.key);
      if (isTakenIn) held.hold(list);
      else if (isNewer) held.doubt(list.key);
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
    served: new Map(),
    pending: new Set(),
  };
  return facts;
}
