import fc from 'fast-check';
import { NAME_LOADS } from './contract-numbers.ts';
import type { StoreState } from './other-replica.ts';
import { ANSWER_KINDS, type AnswerKind } from './scripted-upstream.ts';
import { ROOMY_ENTRIES } from './service-facts.ts';
import type { Read, ServiceUnderTest } from './service-under-test.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** Something that happens. The model is in the rules that watch the service, so commands only make it happen. */
export type Command = fc.AsyncCommand<object, ServiceUnderTest>;

const KEYS = [UNFILTERED_KEY, 'a', 'b', 'c'] as const;
/** So many that they are not all loaded one by one. */
const MANY_NAMES = Array.from({ length: NAME_LOADS + 4 }, (_, index) => `m${index}`);

function command(
  name: string,
  run: (service: ServiceUnderTest) => Promise<unknown>,
  canRun: (service: ServiceUnderTest) => boolean = () => true,
): Command {
  return {
    toString: () => name,
    check: () => true,
    run: async (_model, service) => {
      if (!canRun(service)) return;
      service.facts.held.beginStep();
      await run(service);
      await service.settle();
    },
  };
}

const key = fc.constantFrom(...KEYS);
const callers = fc.constantFrom(1, 1, 3);
const refresh = fc.constantFrom('no', 'no', 'no', 'forced', 'without scope') as fc.Arbitrary<Read['refresh']>;

const read = fc
  .record({ key, callers, refresh })
  .map((one) => command(`read ${one.key} x${one.callers} ${one.refresh}`, (service) => service.read([one])));

/** Names that nobody asks for otherwise, all at once. */
const readMany = fc.constantFrom(NAME_LOADS - 2, MANY_NAMES.length).map((count) =>
  command(`read ${count} names`, async (service) => {
    const { upstream, pending, settings, demand } = service.facts;
    const names = MANY_NAMES.slice(0, count);
    const isIdle = pending.size === 0;
    const before = upstream.calls.length;
    await service.read(names.map((name) => ({ key: name, callers: 1, refresh: 'no' })));
    await service.advance(200);
    const loaded = new Set(upstream.calls.slice(before).map((call) => call.key));
    loaded.delete(UNFILTERED_KEY);
    const isBounded = loaded.size <= NAME_LOADS || settings.maxEntries < ROOMY_ENTRIES || !isIdle;
    demand(isBounded, 'no more than 16 names are loaded one by one', { loaded: loaded.size });
  }),
);

/** Callers who come again and again, to fresh, stale or old data, while upstream is as it is or fails. */
const traffic = fc
  .record({
    keys: fc.constantFrom<readonly string[]>([UNFILTERED_KEY], ['a'], [UNFILTERED_KEY, 'a'], ['b', 'c']),
    mode: fc.constantFrom('as it is', 'as it is', '500', 'reset', '401', '429', 'garbage'),
    afterMs: fc.constantFrom(1, 31_000, 340_000),
    everyMs: fc.constantFrom(50, 300, 1000, 4000),
    times: fc.integer({ min: 5, max: 25 }),
  })
  .map(({ keys, mode, afterMs, everyMs, times }) =>
    command(
      `after ${afterMs} ms ${times} reads of ${keys} every ${everyMs} ms, upstream ${mode}`,
      async (service) => {
        const { upstream } = service.facts;
        await service.advance(afterMs);
        if (mode !== 'as it is') upstream.mode = mode as AnswerKind;
        for (let time = 0; time < times; time += 1) {
          await service.read([{ key: keys[time % keys.length] as string, callers: 1, refresh: 'no' }]);
          await service.advance(everyMs);
        }
      },
    ),
  );

/** One secret after the other of the same id is rejected. */
const slips = fc
  .record({ times: fc.integer({ min: 2, max: 4 }), everyMs: fc.constantFrom(50, 2000) })
  .map((how) =>
    command(`${how.times} secrets are rejected every ${how.everyMs} ms`, async (service) => {
      const { credentials, upstream } = service.facts;
      upstream.mode = '401';
      for (let time = 0; time < how.times; time += 1) {
        credentials.replace(false, true);
        for (const key of ['a', 'b', 'c']) {
          await service.read([{ key, callers: 1, refresh: 'no' }]);
          await service.advance(how.everyMs);
        }
      }
    }),
  );

/** The vendor rejects every other call. */
const flicker = fc
  .constantFrom<readonly AnswerKind[]>(['401', 'ok', '401'], ['ok', '401', 'ok', '401', 'ok'])
  .map((kinds) =>
    command(`forced reads of a every 2 s, upstream ${kinds}`, async (service) => {
      for (const mode of kinds) {
        service.facts.upstream.mode = mode;
        await service.read([{ key: 'a', callers: 1, refresh: 'forced' }]);
        await service.advance(2000);
      }
    }),
  );

/** One key after the other is asked for while upstream does not answer. */
const silence = fc.constantFrom(5000, 10_000, 61_000).map((afterMs) =>
  command(`after ${afterMs} ms all keys are read every 600 ms, upstream held`, async (service) => {
    service.facts.upstream.mode = 'held';
    await service.advance(afterMs);
    for (const key of KEYS) {
      await service.read([{ key, callers: 1, refresh: 'no' }]);
      await service.advance(600);
    }
  }),
);

/** Of two calls that are made 50 ms apart with a proved key the first is answered while the other may not be sent yet. */
const pair = fc.constantFrom<AnswerKind>('ok', '500', '401', '429 in 3', '429 in 20').map((answer) =>
  command(`forced reads of a, b and c, upstream ok, then held, then ${answer} for b`, async (service) => {
    const { upstream } = service.facts;
    upstream.mode = 'ok';
    await service.read([{ key: 'a', callers: 1, refresh: 'forced' }]);
    await service.advance(120);
    upstream.mode = 'held';
    await service.read([{ key: 'b', callers: 1, refresh: 'forced' }]);
    await service.advance(50);
    await service.read([{ key: 'c', callers: 1, refresh: 'forced' }]);
    await service.advance(70);
    for (const call of upstream.underWay.filter(({ key: called }) => called === 'b'))
      upstream.answer(call, answer);
    await service.settle();
    await service.advance(100);
  }),
);

/** A list and a name are loaded at one time, and what began first ends last. */
const overlap = fc
  .record({
    keys: fc.constantFrom<readonly [string, string]>([UNFILTERED_KEY, 'a'], ['a', UNFILTERED_KEY]),
    lastAfterMs: fc.constantFrom(1, 2000, 12_000),
  })
  .map(({ keys, lastAfterMs }) =>
    command(
      `forced reads of ${keys}, a created or deleted between them, the first ends ${lastAfterMs} ms after the last`,
      async (service) => {
        const { upstream } = service.facts;
        const answerAll = async (key: string): Promise<void> => {
          for (const call of upstream.underWay.filter((each) => each.key === key))
            upstream.answer(call, 'ok');
          await service.settle();
        };
        upstream.mode = 'ok';
        await service.read([{ key: UNFILTERED_KEY, callers: 1, refresh: 'no' }]);
        await service.advance(1100);
        upstream.mode = 'held';
        await service.read([{ key: keys[0], callers: 1, refresh: 'forced' }]);
        await service.advance(1000);
        if (!upstream.names.delete('a')) upstream.names.add('a');
        await service.read([{ key: keys[1], callers: 1, refresh: 'forced' }]);
        await service.advance(100);
        await answerAll(keys[1]);
        await service.advance(lastAfterMs);
        await answerAll(keys[0]);
        for (const after of [1, 4500]) {
          await service.advance(after);
          await service.read([{ key: 'a', callers: 1, refresh: 'no' }]);
        }
      },
    ),
  );

const milliseconds = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(1, 100, 499, 500, 999, 1000, 2000, 5000, 8000) },
  { weight: 3, arbitrary: fc.constantFrom(30_000, 59_999, 60_000, 61_000) },
  { weight: 1, arbitrary: fc.constantFrom(299_000, 300_000, 330_000, 3_600_000, 3_900_000) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 40_000 }) },
);
const advance = milliseconds.map((ms) => command(`${ms} ms go by`, (service) => service.advance(ms)));

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant<AnswerKind>('ok') },
  { weight: 5, arbitrary: fc.constantFrom(...ANSWER_KINDS) },
);
const answerOne = fc.record({ kind, index: fc.nat(5) }).map((one) =>
  command(`upstream answers call ${one.index} with ${one.kind}`, async ({ facts: { upstream } }) => {
    const call = upstream.underWay[one.index % upstream.underWay.length];
    if (call !== undefined) upstream.answer(call, one.kind);
  }),
);
const answerAs = fc
  .oneof(
    { weight: 3, arbitrary: fc.constant('held' as const) },
    { weight: 2, arbitrary: fc.constant('ok' as const) },
    { weight: 3, arbitrary: kind },
  )
  .map((mode) =>
    command(`upstream answers from now on: ${mode}`, async ({ facts: { upstream } }) => {
      upstream.mode = mode;
    }),
  );

const changeWorld = fc.constantFrom('a', 'b', 'c', 'm1').map((name) =>
  command(`${name} is created or deleted`, async ({ facts: { upstream } }) => {
    if (!upstream.names.delete(name)) upstream.names.add(name);
  }),
);

const replaceCredential = fc
  .record({ isNewId: fc.boolean(), isSeenAtOnce: fc.boolean() })
  .map((how) =>
    command(`the credential is replaced ${JSON.stringify(how)}`, async ({ facts: { credentials } }) =>
      credentials.replace(how.isNewId, how.isSeenAtOnce),
    ),
  );
const revoke = fc.constant(
  command('the key is revoked', async ({ facts: { upstream, credentials } }) =>
    upstream.revoked.add(credentials.current),
  ),
);
const accept = fc.constant(
  command('all keys are accepted', async ({ facts: { upstream } }) => upstream.revoked.clear()),
);

const hasStore = ({ facts }: ServiceUnderTest): boolean => facts.replica !== undefined;

const HOUR_MS = 3_600_000;
/** A shared store tells replicas the time by the wall clock; what comes of that is not looked at here. */
const setClock = fc.constantFrom(-8 * HOUR_MS, -600_000, 4000, 600_000, 8 * HOUR_MS).map((byMs) =>
  command(
    `the wall clock is set by ${byMs} ms`,
    async (service) => {
      await service.advance(1);
      service.setClock(byMs);
      await service.advance(1);
    },
    (service) => !hasStore(service),
  ),
);

const restart = fc.constant(command('the service is restarted', (service) => service.restart()));

const changeStore = fc
  .constantFrom<StoreState>('up', 'up', 'slow', 'down')
  .map((state) =>
    command(
      `the store is ${state}`,
      async ({ facts: { replica } }) => Object.assign(replica ?? {}, { state }),
      hasStore,
    ),
  );
const otherLoads = fc
  .record({
    key,
    step: fc.constantFrom('begins', 'ends', 'fails', 'begins and ends', 'begins and ends', 'ended late'),
  })
  .map(({ key: loaded, step }) =>
    command(
      `another replica's load of ${loaded} ${step}`,
      async ({ facts: { replica, upstream } }) => {
        if (step.startsWith('begins') || step === 'ended late') await replica?.takeTurn(loaded);
        if (step.endsWith('ends')) await replica?.endTurn(loaded, upstream.names);
        if (step === 'ended late') await replica?.endTurn(loaded, upstream.names, 3000);
        if (step === 'fails') await replica?.endTurn(loaded, undefined);
      },
      hasStore,
    ),
  );
const poison = key.map((poisoned) =>
  command(
    `the store holds nonsense for ${poisoned}`,
    async ({ facts: { replica } }) => replica?.poison(poisoned),
    hasStore,
  ),
);

/** Everything that may happen, in the order of any run. */
export const COMMAND: fc.Arbitrary<Command> = fc.oneof(
  { weight: 20, arbitrary: read },
  { weight: 1, arbitrary: readMany },
  { weight: 3, arbitrary: traffic },
  { weight: 1, arbitrary: slips },
  { weight: 1, arbitrary: flicker },
  { weight: 2, arbitrary: silence },
  { weight: 1, arbitrary: pair },
  { weight: 1, arbitrary: overlap },
  { weight: 14, arbitrary: advance },
  { weight: 10, arbitrary: answerOne },
  { weight: 8, arbitrary: answerAs },
  { weight: 3, arbitrary: changeWorld },
  { weight: 2, arbitrary: replaceCredential },
  { weight: 1, arbitrary: revoke },
  { weight: 1, arbitrary: accept },
  { weight: 2, arbitrary: setClock },
  { weight: 2, arbitrary: restart },
  { weight: 2, arbitrary: changeStore },
  { weight: 5, arbitrary: otherLoads },
  { weight: 1, arbitrary: poison },
);
