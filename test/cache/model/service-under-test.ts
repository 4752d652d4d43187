import { UNFILTERED_KEY } from '../../../src/cache/cache-key.ts';
import { type Ask, checkAnswer } from './answer-rules.ts';
import { DEADLINE_MS } from './contract-numbers.ts';
import { createCredentialSource } from './credential-source.ts';
import { type ExpectedAnswer, expectAnswer } from './expected-answer.ts';
import { createGivenLists, type GivenList } from './given-lists.ts';
import { createModelClock, type ModelClock } from './model-clock.ts';
import { createOtherReplica } from './other-replica.ts';
import { createScriptedUpstream, type UpstreamCall } from './scripted-upstream.ts';
import {
  isServable,
  isServableFromStore,
  ROOMY_ENTRIES,
  type ServiceFacts,
  type Settings,
} from './service-facts.ts';
import { type Refresh, type Surroundings, startInstance } from './service-instance.ts';
import { createViolations } from './violations.ts';

export interface Read {
  readonly key: string;
  readonly callers: number;
  readonly refresh: Refresh;
}

/** What came of a read of one caller. */
export interface Outcome {
  status: number | undefined;
  given: GivenList | undefined;
  isShared: boolean;
}

/** The whole service over everything scripted, with the rules that watch it. */
export interface ServiceUnderTest {
  readonly facts: ServiceFacts;
  /**
   * Callers ask at the same time, and go on as far as they can without time.
   *
   * @returns what came of each read so far; it changes when more comes of it
   */
  read(reads: readonly Read[]): Promise<readonly Outcome[]>;
  /** Lets time go by. */
  advance(ms: number): Promise<void>;
  /** Something was changed: goes on as far as possible without time, and checks what came of it. */
  settle(): Promise<void>;
  /** Stops the service and starts another one in its place. */
  restart(): Promise<void>;
  /** Background work of the service that has not ended. */
  unfinished(): Promise<number>;
}

interface PendingAsk extends Ask {
  readonly outcome: Outcome;
}

export async function createServiceUnderTest(settings: Settings): Promise<ServiceUnderTest> {
  const clock: ModelClock = createModelClock();
  const { demand, throwIfAny } = createViolations(clock.now);
  const given = createGivenLists(settings.random);
  const credentials = createCredentialSource(clock, settings.signingMs);
  const upstream = createScriptedUpstream(credentials, given, clock, () => instance.watcher);
  const replica = settings.hasStore
    ? createOtherReplica(given, clock, (list) => instance.notePut(list))
    : undefined;
  const around: Surroundings = { settings, clock, given, upstream, credentials, replica, demand };
  let instance = await startInstance(around);
  let checks: Promise<void>[] = [];

  function ask({ key, refresh }: Read): PendingAsk {
    const { facts } = instance;
    const { held, pending } = facts;
    const asked: PendingAsk = {
      key,
      isForced: refresh === 'forced',
      startedAtMs: clock.now(),
      wasHeld: held.get(key) !== undefined,
      wasUnknown: held.isUnknown(key) && held.isUnknown(UNFILTERED_KEY),
      outcome: { status: undefined, given: undefined, isShared: false },
    };
    pending.add(asked);
    const answered = instance.ask(key, refresh).then((response) => {
      pending.delete(asked);
      if (facts === instance.facts) checks.push(check(asked, response));
    });
    answered.catch((error) => demand(false, 'every read is answered', { error: String(error) }));
    return asked;
  }

  /** What is true at this moment is asked for before anything is awaited. */
  async function check(asked: PendingAsk, response: Response): Promise<void> {
    const { facts } = instance;
    const { status, headers } = response;
    const now = {
      atMs: clock.now(),
      isRejectionOver: facts.mark.isOver,
      wasServable: isServable(facts, asked.key),
      wasShared: isServableFromStore(facts, asked.key),
    };
    const list = checkAnswer(facts, asked, { ...now, status, headers, text: await response.text() });
    const isShared = headers.get('cache-status')?.includes('detail=shared') === true;
    Object.assign(asked.outcome, { status, given: list, isShared });
    // An entry that was evicted meanwhile may still serve on error.
    const isKept = headers.get('cache-status')?.includes('stale-if-error') === false;
    if (list !== undefined && isKept) facts.held.confirm(list);
    if (list !== undefined && isShared) facts.loads.replaced(list.key);
  }

  async function settle(): Promise<void> {
    await clock.settle();
    await Promise.all(checks);
    checks = [];
    checkBounds();
    throwIfAny();
  }

  function checkBounds(): void {
    const { facts } = instance;
    const { pending, guards, mark } = facts;
    if (guards.mayBeLocked(credentials.current)) mark.mayBeLocked();
    demand(instance.entries() <= settings.maxEntries, 'entries are bounded', { entries: instance.entries() });
    // A load waits for the turn of another replica no longer than for upstream; a list that is not kept costs another load.
    const loads = settings.maxEntries === ROOMY_ENTRIES ? 1 : 2;
    const longestMs = loads * (settings.hasStore ? 2 * DEADLINE_MS + 1000 : DEADLINE_MS);
    for (const { key, startedAtMs } of pending as Set<PendingAsk>)
      demand(clock.now() - startedAtMs <= longestMs, 'every read is answered within its time', { key });
  }

  function checkCalls(
    expected: readonly ExpectedAnswer[],
    asked: readonly PendingAsk[],
    calls: readonly UpstreamCall[],
  ): void {
    const all = { expected, asked, calls };
    const isQuiet = expected.every((each) => each.isQuiet);
    demand(!isQuiet || calls.length === 0, 'fresh data is answered without a call', all);
    const isCall = expected.some((each) => each.isCall);
    const isShared = asked.some(({ outcome }) => outcome.isShared);
    demand(!isCall || calls.length > 0 || isShared, 'a read without fresh data leads to a call', all);
    if (!isCall || replica?.state !== 'up') return;
    for (const { key } of calls) {
      const loaded = asked.find(({ outcome }) => outcome.given?.storedAtMs === clock.now())?.outcome.given;
      const isThere = given.ofEntry(key, replica.entries.get(key)) !== undefined;
      demand(loaded?.key !== key || isThere, 'what was loaded is put into the store', { key });
    }
  }

  function checkAtOnce({ atOnceSinceMs }: ExpectedAnswer, asked: readonly PendingAsk[]): void {
    if (atOnceSinceMs === undefined) return;
    for (const { key, outcome } of asked) {
      demand(outcome.status === 200, 'data that may be served at once is', { key, outcome });
      const storedAtMs = outcome.given?.storedAtMs ?? atOnceSinceMs;
      demand(storedAtMs >= atOnceSinceMs, 'the newest data is served', { key, outcome, atOnceSinceMs });
    }
  }

  return {
    get facts() {
      return instance.facts;
    },
    async read(reads) {
      for (const { refresh } of reads) await instance.recognise(refresh);
      const { held, loads } = instance.facts;
      held.beginStep();
      const expected = reads.map(({ key, refresh }) =>
        expectAnswer(instance.facts, key, refresh === 'forced'),
      );
      const loading = [...new Set(expected.flatMap((each) => each.loads))];
      const before = upstream.calls.length;
      loads.begin(loading);
      const asked = reads.map((each) => Array.from({ length: each.callers }, () => ask(each)));
      for (const { key } of reads) {
        held.touch(key);
        held.touch(UNFILTERED_KEY);
      }
      if (settings.hasStore && loading.length > 0) {
        // The store may have it.
        for (const key of [...loading, UNFILTERED_KEY]) held.mayHold(key);
      }
      await clock.settle();
      loads.finish();
      await settle();
      checkCalls(expected, asked.flat(), upstream.calls.slice(before));
      for (const [index, each] of expected.entries()) checkAtOnce(each, asked[index] as PendingAsk[]);
      throwIfAny();
      return asked.flat().map(({ outcome }) => outcome);
    },
    async advance(ms) {
      instance.facts.held.beginStep();
      await clock.advance(ms);
      await settle();
    },
    settle,
    async restart() {
      instance.stop();
      upstream.forget();
      await replica?.disconnect();
      instance = await startInstance(around);
      await settle();
    },
    async unfinished() {
      let count = 0;
      for (const work of instance.background) {
        count += 1;
        void work.then(() => {
          count -= 1;
        });
      }
      await clock.settle();
      return count;
    },
  };
}
