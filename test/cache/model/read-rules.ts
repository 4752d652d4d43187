import type { Ask } from './answer-rules.ts';
import { DEADLINE_MS } from './contract-numbers.ts';
import type { ExpectedAnswer } from './expected-answer.ts';
import type { GivenList } from './given-lists.ts';
import type { UpstreamCall } from './scripted-upstream.ts';
import { ROOMY_ENTRIES, type ServiceFacts } from './service-facts.ts';

/** What came of a read of one caller. */
export interface Outcome {
  status: number | undefined;
  given: GivenList | undefined;
  isShared: boolean;
}

/** A read of one caller, with what has come of it so far. */
export interface PendingAsk extends Ask {
  readonly outcome: Outcome;
}

/** Checks the calls that reads have made without any time going by. */
export function checkCalls(
  { demand, replica, given, now }: ServiceFacts,
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
    const loaded = asked.find(({ outcome }) => outcome.given?.storedAtMs === now())?.outcome.given;
    const isThere = given.ofEntry(key, replica.entries.get(key)) !== undefined;
    demand(loaded?.key !== key || isThere, 'what was loaded is put into the store', { key });
  }
}

/** Checks the answers that were due without any time going by. */
export function checkAtOnce(
  { demand }: ServiceFacts,
  { atOnceSinceMs }: ExpectedAnswer,
  asked: readonly PendingAsk[],
): void {
  if (atOnceSinceMs === undefined) return;
  for (const { key, outcome } of asked) {
    demand(outcome.status === 200, 'data that may be served at once is', { key, outcome });
    const begunUntilMs = outcome.given?.begunUntilMs ?? atOnceSinceMs;
    demand(begunUntilMs >= atOnceSinceMs, 'the newest data is served', { key, outcome, atOnceSinceMs });
  }
}

/** Checks what holds at any time. */
export function checkBounds({ pending, settings, demand, now }: ServiceFacts, entries: number): void {
  demand(entries <= settings.maxEntries, 'entries are bounded', { entries });
  // The turn of another replica is waited for no longer than upstream is; a list that is not kept costs another load.
  const loads = settings.maxEntries === ROOMY_ENTRIES ? 1 : 2;
  const longestMs = loads * (settings.hasStore ? 2 * DEADLINE_MS + 1000 : DEADLINE_MS);
  for (const { key, startedAtMs } of pending)
    demand(now() - startedAtMs <= longestMs, 'every read is answered within its time', { key });
}
