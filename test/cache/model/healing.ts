import { DEADLINE_MS, LONGEST_LOCK_OUT_MS, LONGEST_OPEN_MS, LONGEST_PAUSE_MS } from './contract-numbers.ts';
import { servedText } from './given-lists.ts';
import type { ServiceUnderTest } from './service-under-test.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** Verified tokens are believed for 60 s. */
const VERIFIED_TOKEN_MS = 60_000;

/**
 * Makes everything well, and checks that within the longest pause every key is answered with what is true by then: at once
 * or after one answer that is stale.
 */
export async function checkHealing(service: ServiceUnderTest): Promise<void> {
  const { facts } = service;
  const { upstream, replica, credentials, guards, demand, now } = facts;
  facts.held.beginStep();
  // A key that was revoked is replaced, which a rejection or the lock-out brings to light.
  if (upstream.revoked.size > 0) credentials.replace(true, false);
  upstream.mode = 'ok';
  if (replica !== undefined) {
    replica.state = 'up';
    for (const key of replica.turns.keys()) await replica.endTurn(key, undefined);
  }
  for (const call of upstream.underWay) upstream.answer(call, 'ok');
  await service.settle();
  // A locked key has its 5 minutes, or its hour, unless it was replaced; everything else is tried again within a minute.
  const isLocked = guards.mayBeLocked(credentials.latest);
  await service.advance(
    (isLocked ? LONGEST_LOCK_OUT_MS : Math.max(LONGEST_OPEN_MS, LONGEST_PAUSE_MS)) + 1000,
  );

  const healedAtMs = now();
  for (const key of [UNFILTERED_KEY, 'a', 'b', 'c', 'm1']) {
    const read = [{ key, callers: 1, refresh: 'no' as const }];
    await service.read(read);
    await service.advance(1000);
    const [outcome] = await service.read(read);
    const list = outcome?.given;
    const names = [...upstream.names].filter((name) => key === UNFILTERED_KEY || name === key);
    const isTrue =
      list !== undefined &&
      list.storedAtMs >= healedAtMs &&
      now() < list.freshUntilMs &&
      servedText(list, key) === servedText({ number: list.number, names }, key);
    demand(isTrue, 'a healthy upstream heals every key', { key, list, names });
  }
  await service.advance(2 * DEADLINE_MS);
  demand((await service.unfinished()) === 0, 'background work ends, and never fails');
  // Verified tokens are forgotten by a timer, within two of their lives.
  await service.advance(2 * VERIFIED_TOKEN_MS);
  demand(facts.timers() === 0, 'no timer is left behind');
  await service.settle();
}
