import { checkAnswer } from './answer-rules.ts';
import type { Refresh } from './callers.ts';
import { createCredentialSource } from './credential-source.ts';
import { expectAnswer } from './expected-answer.ts';
import { createGivenLists } from './given-lists.ts';
import { createModelClock } from './model-clock.ts';
import { createOtherReplica } from './other-replica.ts';
import { checkAtOnce, checkBounds, checkCalls, type Outcome, type PendingAsk } from './read-rules.ts';
import { createScriptedUpstream } from './scripted-upstream.ts';
import { isServable, isServableFromStore, type ServiceFacts, type Settings } from './service-facts.ts';
import { type ServiceInstance, startInstance } from './service-instance.ts';
import { createViolations, type Violations } from './violations.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

export interface Read {
  readonly key: string;
  readonly callers: number;
  readonly refresh: Refresh;
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
  /** Sets the wall clock forward, or back by a negative number of milliseconds. */
  setClock(byMs: number): void;
  /** Something was changed: goes on as far as possible without time, and checks what came of it. */
  settle(): Promise<void>;
  /** Stops the service and starts another one in its place. */
  restart(): Promise<void>;
  /** Background work of the service that has not ended. */
  unfinished(): Promise<number>;
}

export async function createServiceUnderTest(settings: Settings): Promise<ServiceUnderTest> {
  const clock = createModelClock();
  const violations = createViolations(clock.now);
  const given = createGivenLists(settings.random);
  const credentials = createCredentialSource(clock, settings.signingMs);
  const upstream = createScriptedUpstream(credentials, given, clock, () => instance.watcher);
  const replica = settings.hasStore
    ? createOtherReplica(given, clock, (list) => instance.notePut(list))
    : undefined;
  const around = { settings, clock, given, upstream, credentials, replica, demand: violations.demand };
  let instance = await startInstance(around);
  let reader = createReader(instance, clock.settle, violations);

  return {
    get facts() {
      return instance.facts;
    },
    read: (reads) => reader.read(reads),
    async advance(ms) {
      instance.facts.held.beginStep();
      await clock.advance(ms);
      await reader.settle();
    },
    setClock: clock.set,
    settle: () => reader.settle(),
    async restart() {
      instance.stop();
      upstream.forget();
      await replica?.disconnect();
      instance = await startInstance(around);
      reader = createReader(instance, clock.settle, violations);
      await reader.settle();
    },
    async unfinished() {
      const ended = new Set<Promise<unknown>>();
      for (const work of instance.background) void work.then(() => ended.add(work));
      await clock.settle();
      return new Set(instance.background).size - ended.size;
    },
  };
}

/** Reads from one instance, and checks what comes of it. */
function createReader(
  instance: ServiceInstance,
  settleClock: () => Promise<void>,
  { demand, throwIfAny }: Violations,
): Pick<ServiceUnderTest, 'read' | 'settle'> {
  const { facts } = instance;
  const { held, loads, upstream, settings, guards, mark, credentials } = facts;
  let checks: Promise<void>[] = [];

  function ask({ key, refresh }: Read): PendingAsk {
    const asked = newAsk(facts, key, refresh === 'forced');
    facts.pending.add(asked);
    const answered = instance.ask(key, refresh).then((response) => {
      facts.pending.delete(asked);
      if (!instance.isStopped) checks.push(checkResponse(facts, asked, response));
    });
    answered.catch((error) => demand(false, 'every read is answered', { error: String(error) }));
    return asked;
  }

  function touch(keys: readonly string[], loading: readonly string[]): void {
    for (const key of [...keys, UNFILTERED_KEY]) held.touch(key);
    // The store may have it.
    if (settings.hasStore && loading.length > 0)
      for (const key of [...loading, UNFILTERED_KEY]) held.mayHold(key);
  }

  async function settle(): Promise<void> {
    await settleClock();
    await Promise.all(checks);
    checks = [];
    const { current, latest } = credentials;
    if (guards.mayBeLocked(current)) mark.mayBeLocked(current !== latest);
    checkBounds(facts, instance.entries());
    throwIfAny();
  }

  return {
    settle,
    async read(reads) {
      for (const { refresh } of reads) await instance.recognise(refresh);
      held.beginStep();
      const expected = reads.map(({ key, refresh }) => expectAnswer(facts, key, refresh === 'forced'));
      const loading = [...new Set(expected.flatMap((each) => each.loads))];
      const before = upstream.calls.length;
      loads.begin(loading);
      const asked = reads.map((each) => Array.from({ length: each.callers }, () => ask(each)));
      touch(
        reads.map(({ key }) => key),
        loading,
      );
      await settleClock();
      loads.finish();
      await settle();
      checkCalls(facts, expected, asked.flat(), upstream.calls.slice(before));
      for (const [index, each] of expected.entries()) checkAtOnce(facts, each, asked[index] ?? []);
      throwIfAny();
      return asked.flat().map(({ outcome }) => outcome);
    },
  };
}

function newAsk({ held, now }: ServiceFacts, key: string, isForced: boolean): PendingAsk {
  return {
    key,
    isForced,
    startedAtMs: now(),
    wasHeld: held.get(key) !== undefined,
    wasUnknown: held.isUnknown(key) && held.isUnknown(UNFILTERED_KEY),
    outcome: { status: undefined, given: undefined, isShared: false },
  };
}

/** What is true at the moment of the answer is asked for before anything is awaited. */
async function checkResponse(facts: ServiceFacts, asked: PendingAsk, response: Response): Promise<void> {
  const { status, headers } = response;
  const moment = {
    atMs: facts.now(),
    isRejectionOver: facts.mark.isOver,
    wasServable: isServable(facts, asked.key),
    wasShared: isServableFromStore(facts, asked.key),
  };
  const list = checkAnswer(facts, asked, { ...moment, status, headers, text: await response.text() });
  const said = headers.get('cache-status') ?? '';
  const isShared = said.includes('detail=shared');
  Object.assign(asked.outcome, { status, given: list, isShared });
  if (list === undefined) return;
  // An entry that was evicted meanwhile may still serve on error, and what the list was told of a name needs no entry.
  const isOfList = /detail=(?:derived|stale-while-revalidate)/.test(said) && list.key !== UNFILTERED_KEY;
  if (!said.includes('detail=stale-if-error') && !isOfList) facts.held.confirm(list);
  if (isShared) facts.loads.replaced(list.key);
}
