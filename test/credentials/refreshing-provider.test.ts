import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CredentialUnavailableError, isSameCredential } from '../../src/credentials/provider.ts';
import { createRefreshingProvider } from '../../src/credentials/refreshing-provider.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import type { KeyPair } from '../../src/signing/credential.ts';
import { settle } from '../support/fake-clock.ts';
import { createSeparateFlight } from '../support/separate-flight.ts';
import { createProviderDependencies, createScriptedSource, plantedCredential } from './scripted-source.ts';

/** A credential is not used in its last 10 seconds. */
const EXPIRY_MARGIN_MS = 10_000;
/** A refresh that has not ended after 30 seconds is taken for dead. */
const REFRESH_LOST_MS = 30_000;
/** A refresh that brought the same credential is repeated after 60 seconds at most. */
const LONGEST_REPEAT_MS = 60_000;
/** After refusals the source is asked once in 5 seconds at most. */
const RELOAD_PAUSE_MS = 5000;

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

function setUp(createSingleFlight = createSharedFlight) {
  const context = createProviderDependencies(createSingleFlight);
  const source = createScriptedSource();
  const provider = createRefreshingProvider({ source: 'test', load: source.load }, context.deps);
  /** A credential that expires so long from now. */
  const fresh = (number: number, lifetimeMs: number) =>
    plantedCredential(number, context.clock.now() + lifetimeMs);
  /** Loads the first one. */
  const begin = async (lifetimeMs: number) => {
    const warmed = provider.warm();
    source.answer(fresh(1, lifetimeMs));
    await warmed;
    return (await provider.get()) as KeyPair;
  };
  return { ...context, source, provider, fresh, begin };
}

describe('without a credential', () => {
  it('callers share one load, and get the same frozen object', async () => {
    const { source, provider, fresh, loaded, background } = setUp();
    expect(provider.usable()).toBe(false);
    const callers = Array.from({ length: 20 }, () => provider.get());
    await settle();
    expect(source.calls).toBe(1);
    const credential = fresh(1, HOUR_MS);
    source.answer(credential);
    const got = await Promise.all(callers);
    expect(got[0]).toEqual(credential);
    expect(Object.isFrozen(got[0])).toBe(true);
    expect(new Set(got).size).toBe(1);
    expect(provider.get()).toBe(got[0]);
    expect(provider.usable()).toBe(true);
    expect(loaded).toEqual([credential.expiresAtMs]);
    expect(background).toHaveLength(1);
  });

  it('a failed load reaches all of them, and the source is left alone for 1 second doubling to 60', async () => {
    const { source, provider, clock, logger } = setUp();
    const first = [provider.get(), provider.get()];
    source.fail();
    for (const caller of first) {
      await expect(caller).rejects.toMatchObject({
        name: 'CredentialUnavailableError',
        code: 'no_credential',
      });
    }
    for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
      const calls = source.calls;
      await clock.advance(pauseMs - 1);
      await expect(provider.get()).rejects.toThrow(CredentialUnavailableError);
      await provider.warm();
      expect(source.calls).toBe(calls);
      await clock.advance(1);
      const caller = provider.get();
      source.fail();
      await expect(caller).rejects.toThrow(CredentialUnavailableError);
      expect(source.calls).toBe(calls + 1);
    }
    expect(logger.lines.map(({ level, fields }) => [level, fields.failures, fields.usable])).toEqual(
      Array.from({ length: 9 }, (_, index) => ['warn', index + 1, false]),
    );
  });

  it('the pause ends with a success', async () => {
    const { source, provider, clock, fresh } = setUp();
    for (let count = 0; count < 3; count += 1) {
      const warmed = provider.warm();
      source.fail();
      await warmed;
      await clock.advance(MINUTE_MS);
    }
    const caller = provider.get();
    source.answer(fresh(1, 20_000));
    await caller;
    await clock.advance(10_000);
    const expired = provider.get();
    source.fail();
    await expect(expired).rejects.toMatchObject({ code: 'credential_expired' });
    // Again the first pause, not the fourth.
    await clock.advance(1000);
    const again = provider.get();
    source.answer(fresh(2, HOUR_MS));
    expect(await again).toMatchObject({ accessKeyId: 'PLANTEDaccess2' });
  });

  it.each([
    ['expired', (nowMs: number) => plantedCredential(1, nowMs - 1)],
    ['about to expire', (nowMs: number) => plantedCredential(1, nowMs + EXPIRY_MARGIN_MS)],
    [
      'that could not be sent',
      (nowMs: number) => ({ ...plantedCredential(1, nowMs + HOUR_MS), securityToken: 'PLANTED\n' }),
    ],
  ])('does not take one %s', async (_name, make) => {
    const { source, provider, clock, logger, loaded } = setUp();
    const caller = provider.get();
    source.answer(make(clock.now()));
    await expect(caller).rejects.toThrow(CredentialUnavailableError);
    expect(provider.usable()).toBe(false);
    expect(loaded).toEqual([]);
    expect(logger.lines).toHaveLength(1);
  });
});

describe('a refresh', () => {
  it.each([
    ['24 hours', 24 * HOUR_MS, 40 * MINUTE_MS],
    ['1 hour', HOUR_MS, 15 * MINUTE_MS],
    ['15 minutes', 15 * MINUTE_MS, 3.75 * MINUTE_MS],
  ])('of a life of %s comes in time, in the background', async (_name, lifetimeMs, leadMs) => {
    const { source, provider, clock, fresh, begin } = setUp();
    const first = await begin(lifetimeMs);
    await clock.advance(lifetimeMs - leadMs - 1);
    expect(provider.get()).toBe(first);
    expect(source.calls).toBe(1);
    await clock.advance(1);
    for (let count = 0; count < 10; count += 1) expect(provider.get()).toBe(first);
    await settle();
    expect(source.calls).toBe(2);
    source.answer(fresh(2, lifetimeMs));
    await settle();
    expect(provider.get()).toMatchObject({ accessKeyId: 'PLANTEDaccess2' });
    expect(source.calls).toBe(2);
  });

  it('that fails is repeated after a pause; the last good one is used until just before it expires', async () => {
    const { source, provider, clock, begin } = setUp();
    const first = await begin(HOUR_MS);
    await clock.advance(45 * MINUTE_MS);
    expect(provider.get()).toBe(first);
    await settle();
    source.fail();
    await settle();
    expect(provider.get()).toBe(first);
    expect(source.calls).toBe(2);
    await clock.advance(1000);
    expect(provider.get()).toBe(first);
    expect(source.calls).toBe(3);
    source.fail();
    await clock.advance(15 * MINUTE_MS - EXPIRY_MARGIN_MS - 1001);
    expect(provider.usable()).toBe(true);
    expect(provider.get()).toBe(first);
    await settle();
    source.fail();
    await clock.advance(1);
    expect(provider.usable()).toBe(false);
    await expect(provider.get()).rejects.toMatchObject({ code: 'credential_expired' });
  });

  it('that brings the same credential keeps the object, and is repeated without a flood', async () => {
    const { source, provider, clock, begin, loaded, logger } = setUp();
    const first = await begin(HOUR_MS);
    await clock.advance(45 * MINUTE_MS);
    let asked = 0;
    while (clock.now() < (first.expiresAtMs as number) - EXPIRY_MARGIN_MS) {
      expect(provider.get()).toBe(first);
      await settle();
      if (source.waiting > 0) {
        asked += 1;
        source.answer({ ...first });
      }
      await clock.advance(5000);
    }
    // Once a minute, then more often near the end.
    expect(asked).toBeGreaterThanOrEqual(15);
    expect(asked).toBeLessThanOrEqual(25);
    expect(loaded).toEqual([first.expiresAtMs]);
    expect(logger.lines.filter(({ message }) => message === 'credential loaded')).toHaveLength(1);
  });

  it('that brought the same credential is repeated after a quarter of what is left, a minute at most', async () => {
    const { source, provider, clock, begin } = setUp();
    const first = await begin(HOUR_MS);
    const callsAfter = async (ms: number) => {
      await clock.advance(ms);
      expect(provider.get()).toBe(first);
      await settle();
      const { calls } = source;
      if (source.waiting > 0) source.answer({ ...first });
      await settle();
      return calls;
    };
    expect(await callsAfter(45 * MINUTE_MS)).toBe(2);
    expect(await callsAfter(LONGEST_REPEAT_MS - 1)).toBe(2);
    expect(await callsAfter(1)).toBe(3);
    // 2 minutes before its end.
    expect(await callsAfter(12 * MINUTE_MS)).toBe(4);
    expect(await callsAfter(30_000 - 1)).toBe(4);
    expect(await callsAfter(1)).toBe(5);
  });

  it('is also begun by the readiness probe, for a service without traffic', async () => {
    const { source, provider, clock, fresh, begin } = setUp();
    await begin(HOUR_MS);
    for (let minute = 0; minute < 180; minute += 1) {
      await clock.advance(MINUTE_MS);
      expect(provider.usable()).toBe(true);
      await settle();
      if (source.waiting > 0) source.answer(fresh(source.calls, HOUR_MS));
      await settle();
    }
    expect(source.calls).toBe(5);
  });

  it('runs alone where flights are not shared, and a lost one does not stop the next for ever', async () => {
    const { source, provider, clock, begin } = setUp(createSeparateFlight);
    const first = await begin(HOUR_MS);
    await clock.advance(45 * MINUTE_MS);
    for (let count = 0; count < 10; count += 1) expect(provider.get()).toBe(first);
    expect(source.calls).toBe(2);
    await clock.advance(REFRESH_LOST_MS - 1);
    provider.get();
    expect(source.calls).toBe(2);
    await clock.advance(1);
    provider.get();
    expect(source.calls).toBe(3);
  });

  it('is not needed for a credential that does not expire', async () => {
    const { source, provider, clock } = setUp();
    const caller = provider.get();
    source.answer(plantedCredential(1));
    const credential = await caller;
    await clock.advance(1000 * 24 * HOUR_MS);
    expect(provider.get()).toBe(credential);
    expect(source.calls).toBe(1);
  });
});

describe('after a rejection', () => {
  it('callers share one load, and learn that there is another credential', async () => {
    const { source, provider, fresh, begin } = setUp();
    const rejected = await begin(HOUR_MS);
    const reloads = Array.from({ length: 20 }, () => provider.reload(rejected));
    await settle();
    expect(source.calls).toBe(2);
    source.answer(fresh(2, HOUR_MS));
    expect(new Set(await Promise.all(reloads))).toEqual(new Set([true]));
    expect(provider.get()).toMatchObject({ accessKeyId: 'PLANTEDaccess2' });
    // A straggler, rejected with the old one: nobody is asked.
    expect(await provider.reload(rejected)).toBe(true);
    expect(source.calls).toBe(2);
  });

  it('the same credential is not another, and the source is asked at most once in 5 seconds', async () => {
    const { source, provider, clock, begin, fresh } = setUp();
    const rejected = await begin(HOUR_MS);
    const reload = provider.reload(rejected);
    await settle();
    source.answer({ ...rejected });
    expect(await reload).toBe(false);
    await clock.advance(RELOAD_PAUSE_MS - 1);
    expect(await provider.reload(rejected)).toBe(false);
    expect(source.calls).toBe(2);
    await clock.advance(1);
    const again = provider.reload(rejected);
    await settle();
    source.answer(fresh(2, HOUR_MS));
    expect(await again).toBe(true);
  });

  it('a failing source is not asked before its pause is over; it never rejects', async () => {
    const { source, provider, begin } = setUp();
    const rejected = await begin(HOUR_MS);
    const reload = provider.reload(rejected);
    await settle();
    source.fail();
    expect(await reload).toBe(false);
    expect(await provider.reload(rejected)).toBe(false);
    expect(source.calls).toBe(2);
    expect(provider.get()).toBe(rejected);
  });
});

describe('secrets', () => {
  it('are in no log line and no error', async () => {
    const { source, provider, clock, logger, begin, fresh } = setUp();
    const errors: unknown[] = [];
    const first = await begin(HOUR_MS);
    const reload = provider.reload(first);
    await settle();
    source.fail(new Error('PLANTED', { cause: new TypeError('PLANTED') }));
    await reload;
    await clock.advance(HOUR_MS);
    for (const bad of [{ ...fresh(2, HOUR_MS), secretAccessKey: 'PLANTED é' }, fresh(3, 1)]) {
      const caller = provider.get();
      await settle();
      source.answer(bad);
      await Promise.resolve(caller).catch((error: unknown) => errors.push(error));
      await clock.advance(MINUTE_MS);
    }
    expect(errors).toHaveLength(2);
    expect(logger.lines.length).toBeGreaterThanOrEqual(4);
    const text = JSON.stringify(logger.lines) + errors.map((error) => (error as Error).stack).join();
    expect(text).not.toContain('PLANTED');
  });
});

type Step =
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'get' | 'usable' | 'reload' | 'fail' | 'same' }
  | { readonly kind: 'answer'; readonly lifetimeMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 1_200_000 }) }),
  fc.record({ kind: fc.constantFrom('get' as const, 'usable' as const, 'reload' as const) }),
  fc.record({ kind: fc.constantFrom('fail' as const, 'same' as const) }),
  fc.record({ kind: fc.constant('answer' as const), lifetimeMs: fc.integer({ min: 1, max: 7_200_000 }) }),
);

it('whatever happens: no expired credential, one load at a time, no pause broken, one object for each', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { source, provider, clock } = setUp();
      const objects = new Map<string, KeyPair>();
      let issued = 0;
      let last: KeyPair | undefined;
      /** What the source gave last: it has nothing newer, and goes back to nothing older. */
      let given: KeyPair | undefined;
      const settled: Promise<unknown>[] = [];
      const see = (credential: KeyPair) => {
        expect(clock.now()).toBeLessThan((credential.expiresAtMs as number) - EXPIRY_MARGIN_MS);
        expect(objects.get(credential.accessKeyId) ?? credential).toBe(credential);
        objects.set(credential.accessKeyId, credential);
        last = credential;
      };
      for (const next of steps) {
        const callsBefore = source.calls;
        if (next.kind === 'advance') await clock.advance(next.ms);
        else if (next.kind === 'usable') provider.usable();
        else if (next.kind === 'get') {
          const got = provider.get() as KeyPair | Promise<KeyPair>;
          if (got instanceof Promise) {
            settled.push(got.then(see, (error) => expect(error).toBeInstanceOf(CredentialUnavailableError)));
          } else see(got);
        } else if (next.kind === 'reload') {
          if (last !== undefined) {
            const rejected = last;
            settled.push(
              provider.reload(rejected).then(async (isAnother) => {
                if (!isAnother) return;
                const now = provider.get();
                if (!(now instanceof Promise)) expect(isSameCredential(now, rejected)).toBe(false);
              }),
            );
          }
        } else if (source.waiting > 0) {
          if (next.kind === 'fail') source.fail();
          else if (next.kind === 'answer') {
            issued += 1;
            given = plantedCredential(issued, clock.now() + next.lifetimeMs);
            source.answer(given);
          } else if (given !== undefined) source.answer({ ...given });
        }
        for (let turn = 0; turn < 10; turn += 1) await null;
        expect(source.waiting).toBeLessThanOrEqual(1);
        expect(source.calls - callsBefore).toBeLessThanOrEqual(1);
      }
      if (source.waiting > 0) source.fail();
      await Promise.all(settled);
    }),
    { numRuns: 60 },
  );
});

describe('a wall clock that is set forward by 8 hours', () => {
  it('makes callers wait for a load, and ends no credential when that fails', async () => {
    const { source, provider, clock, begin } = setUp();
    const credential = await begin(2 * HOUR_MS);
    await clock.advance(MINUTE_MS);
    clock.set(8 * HOUR_MS);
    expect(provider.usable()).toBe(true);
    const caller = provider.get();
    expect(source.calls).toBe(2);
    source.fail();
    expect(await caller).toBe(credential);
    // Failed: nobody waits, and it is loaded again after the pause.
    expect(provider.get()).toBe(credential);
    expect(source.calls).toBe(2);
    await clock.advance(1000);
    expect(provider.get()).toBe(credential);
    expect(source.calls).toBe(3);
    source.fail();
    await settle();
    await clock.advance(2 * HOUR_MS - MINUTE_MS - 1000 - EXPIRY_MARGIN_MS);
    expect(provider.usable()).toBe(false);
  });

  it('ends none that the source still gives, nor asks it each time', async () => {
    const { source, provider, clock, begin } = setUp();
    const credential = await begin(2 * HOUR_MS);
    clock.set(8 * HOUR_MS);
    const caller = provider.get();
    source.answer({ ...credential });
    expect(await caller).toBe(credential);
    expect(provider.get()).toBe(credential);
    expect(source.calls).toBe(2);
  });

  it('keeps no new one out that lives for 2 hours by the clock of the start', async () => {
    const { source, provider, clock, begin } = setUp();
    await begin(HOUR_MS);
    clock.set(8 * HOUR_MS);
    const caller = provider.get();
    const renewed = plantedCredential(2, clock.now() - 8 * HOUR_MS + 2 * HOUR_MS);
    source.answer(renewed);
    expect(await caller).toEqual(renewed);
    await clock.advance(2 * HOUR_MS - EXPIRY_MARGIN_MS);
    expect(provider.usable()).toBe(false);
  });

  it('lengthens no life where the clock of the start was behind by as much', async () => {
    const { source, provider, clock } = setUp();
    clock.set(8 * HOUR_MS);
    const warmed = provider.warm();
    source.answer(plantedCredential(1, clock.now() + HOUR_MS));
    await warmed;
    expect(provider.usable()).toBe(true);
    await clock.advance(HOUR_MS - EXPIRY_MARGIN_MS);
    expect(provider.usable()).toBe(false);
  });
});
