import { UNFILTERED_KEY } from '../../../src/cache/cache-key.ts';
import { NO_METRICS } from '../../../src/metrics.ts';
import { createTestService, type TestService } from '../../support/test-service.ts';
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

/** `without scope`: a caller asks for a refresh who may not have one. */
export type Refresh = 'no' | 'forced' | 'without scope';

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

/** One start of the service, and all that is known of it. */
export interface ServiceInstance {
  readonly facts: ServiceFacts;
  readonly watcher: CallWatcher;
  /** The other replica is about to put this into the store. */
  notePut(list: GivenList): void;
  /** Asks for a list. From here to the cache nothing is awaited. */
  ask(key: string, refresh: Refresh): Promise<Response>;
  /** Has the caller's token verified, where that was too long ago. */
  recognise(refresh: Refresh): Promise<void>;
  /** Entries of the cache. */
  entries(): number;
  readonly background: readonly Promise<unknown>[];
  /** It makes no calls any more. */
  stop(): void;
}

const YEAR_SECONDS = 366 * 86_400;
/** How long a verified token is remembered. */
const VERIFIED_MS = 60_000;

let tokens: Promise<Readonly<Record<Refresh, string>>> | undefined;

/** Two tokens for all runs: signing takes longer than most of them. */
async function signTokens(service: TestService): Promise<Readonly<Record<Refresh, string>>> {
  const exp = Math.floor(service.clock.now() / 1000) + YEAR_SECONDS;
  const reader = await service.token({ exp });
  const forced = await service.token({ exp, scope: 'imagecaches:read imagecaches:refresh' });
  return { no: reader, 'without scope': reader, forced };
}

export async function startInstance(around: Surroundings): Promise<ServiceInstance> {
  const { settings, clock, upstream, credentials, replica } = around;
  const facts = newFacts(around);
  const { held, mark, guards, loads } = facts;
  let entries = () => 0;
  let isStopped = false;
  const sharedEntries = replica?.connect();
  const service: TestService = await createTestService(
    { CACHE_MAX_ENTRIES: String(settings.maxEntries), RATE_LIMIT_PER_MINUTE: '0' },
    {
      fetch: async (url, init) => {
        if (!new URL(url).pathname.startsWith('/v5/')) return service.issuer(url);
        return isStopped ? new Promise(() => undefined) : upstream.fetch(url, init);
      },
      now: clock.now,
      schedule: clock.schedule,
      random: () => settings.random,
      digests: credentials.digests,
      credentialProvider: credentials.provider,
      metrics: {
        ...NO_METRICS,
        observeCache: (read) => {
          entries = () => read().entries;
        },
      },
      ...(sharedEntries && { sharedEntries }),
    },
  );
  tokens ??= signTokens(service);
  const tokenOf = await tokens;
  const verifiedAtMs = new Map<string, number>();

  const request = (query: string, refresh: Refresh): Promise<Response> => {
    const headers = {
      authorization: `Bearer ${tokenOf[refresh]}`,
      ...(refresh !== 'no' && { 'cache-control': 'no-cache' }),
    };
    return Promise.resolve(service.app.request(`/imagecaches${query}`, { headers }));
  };

  return {
    facts,
    watcher: {
      sent(call, others) {
        guards.sent(call, others);
        loads.sent(call, others);
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
    ask: (key, refresh) => request(key === UNFILTERED_KEY ? '' : `?name=${key}`, refresh),
    async recognise(refresh) {
      const token = tokenOf[refresh];
      if (clock.now() - (verifiedAtMs.get(token) ?? Number.NEGATIVE_INFINITY) < VERIFIED_MS) return;
      // Refused for its query, which is looked at next.
      const { status } = await request('?name=', refresh);
      if (status !== 400) throw new Error(`the token is not recognised: ${status}`);
      verifiedAtMs.set(token, clock.now());
    },
    entries: () => entries(),
    background: service.background,
    stop() {
      isStopped = true;
    },
  };
}

/** Nothing is known of a service that has just started. */
function newFacts({ clock, demand, ...around }: Surroundings): ServiceFacts {
  const { now } = clock;
  const { maxEntries, random, signingMs } = around.settings;
  const facts: ServiceFacts = {
    ...around,
    now,
    startedAtMs: now(),
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
      demand,
    }),
    served: new Map(),
    pending: new Set(),
  };
  return facts;
}
