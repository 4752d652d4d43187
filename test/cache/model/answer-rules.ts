import {
  ATTEMPT_TIMEOUT_MS,
  DEADLINE_MS,
  LONGEST_LOCK_OUT_MS,
  STALE_IF_ERROR_MS,
  STALE_WHILE_REVALIDATE_MS,
} from './contract-numbers.ts';
import type { GivenList, ServedList } from './given-lists.ts';
import { ROOMY_ENTRIES, type ServiceFacts } from './service-facts.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** A read of one caller. */
export interface Ask {
  readonly key: string;
  /** By a caller who may force a refresh, and does. */
  readonly isForced: boolean;
  readonly startedAtMs: number;
  /** The key was held for sure, or surely not. */
  readonly wasHeld: boolean;
  readonly wasUnknown: boolean;
}

/** What it was answered with. */
export interface Answer {
  readonly atMs: number;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Stale data was not to be served any more at that time. */
  readonly isRejectionOver: boolean;
  /** Data was held at that time which had to be served rather than an error. */
  readonly wasServable: boolean;
  /** Such data was in the shared store. */
  readonly wasShared: boolean;
}

const EMPTY_TEXT = '{"image_caches":[]}';
const CACHE_STATUS =
  /^imagecaches; (?:hit|fwd=(?<why>miss|stale|request))(?:; ttl=(?<ttl>-?\d+))?(?:; detail=(?<detail>derived|shared|stale-while-revalidate|stale-if-error))?(?<stored>; stored)?(?<collapsed>; collapsed)?$/;

/**
 * Checks one answer.
 *
 * @returns the list that it was taken from; undefined for an error
 */
export function checkAnswer(facts: ServiceFacts, ask: Ask, answer: Answer): GivenList | undefined {
  if (answer.status !== 200) {
    checkError(facts, ask, answer);
    return undefined;
  }
  const { headers, text, atMs } = answer;
  const ageSeconds = Number(headers.get('age'));
  const maxAgeSeconds = Number(/^private, max-age=(\d+)$/.exec(headers.get('cache-control') ?? '')?.[1]);
  const said = CACHE_STATUS.exec(headers.get('cache-status') ?? '')?.groups;
  const ttlSeconds = said?.ttl === undefined ? undefined : Number(said.ttl);
  const times = { atMs, ageSeconds, maxAgeSeconds, ttlSeconds };
  const isLoaded = said?.why !== undefined && said.detail === undefined;
  // Whose data it was said to be, if it was said.
  const isOwn = isLoaded ? said.stored !== undefined : said?.detail !== 'derived';
  const isAnybodys = said?.detail?.startsWith('stale-') || said?.collapsed !== undefined;
  const given = facts.given.find(
    { text, key: ask.key, ...times },
    (list) =>
      (isAnybodys || said?.detail === 'derived' || (list.key === ask.key) === isOwn) &&
      (!isLoaded || list.storedAtMs === atMs),
  );
  const all = { key: ask.key, text, ageSeconds, status: headers.get('cache-status') };
  facts.demand(given !== undefined, 'a served list is one that was given, whole and for this key', all);
  facts.demand(said !== undefined, 'Cache-Status has one of the known forms', all);
  if (given === undefined || said === undefined) return undefined;
  checkTimes(facts, given, times);
  checkOutcome(facts, ask, answer, given, said);
  checkOrder(facts, ask, given, atMs);
  return given;
}

function checkTimes(
  { demand }: ServiceFacts,
  given: GivenList,
  said: Pick<ServedList, 'atMs' | 'ageSeconds' | 'maxAgeSeconds' | 'ttlSeconds'>,
): void {
  const ttlSeconds = Math.floor((given.freshUntilMs - said.atMs) / 1000);
  const all = { ...given, ...said };
  demand(
    said.ageSeconds === Math.floor((said.atMs - given.storedAtMs) / 1000),
    'Age says how old it is',
    all,
  );
  demand(said.maxAgeSeconds === Math.max(0, ttlSeconds), 'max-age says how long it is fresh', all);
  demand((said.ttlSeconds ?? ttlSeconds) === ttlSeconds, 'ttl says how long it is fresh', all);
  const endMs = given.freshUntilMs + STALE_WHILE_REVALIDATE_MS + STALE_IF_ERROR_MS;
  demand(said.atMs < endMs, 'nothing is served after stale-if-error', all);
}

function checkOutcome(
  facts: ServiceFacts,
  ask: Ask,
  { atMs, isRejectionOver, headers, text }: Answer,
  given: GivenList,
  { why, ttl, detail, stored, collapsed }: Record<string, string | undefined>,
): void {
  const all = { ask, given, status: headers.get('cache-status'), isRejectionOver };
  const demand = (holds: boolean, rule: string) => facts.demand(holds, rule, all);
  const isFresh = atMs < given.freshUntilMs;
  const isOwn = given.key === ask.key;
  const isRoomy = facts.settings.maxEntries === ROOMY_ENTRIES;
  const isEmpty = text === EMPTY_TEXT;
  demand((ttl === undefined) === (why !== undefined && detail === undefined), 'ttl where it was held');
  demand(why === undefined || (why === 'request') === ask.isForced, 'fwd=request for forced reads only');
  demand(why !== 'miss' || !ask.wasHeld, 'fwd=miss only where nothing was held');
  switch (detail) {
    case 'derived':
      // What a newer load has said of the name takes the place of what the list says, though its own entry was evicted.
      demand(isOwn || (isFresh && given.key === UNFILTERED_KEY), 'a derived answer is of a fresh list');
      break;
    case 'shared':
      demand(isFresh && facts.settings.hasStore, 'a shared answer is a fresh one from the store');
      break;
    case 'stale-while-revalidate':
      demand(!isFresh, 'stale-while-revalidate is for what is no longer fresh');
      demand(atMs < given.freshUntilMs + STALE_WHILE_REVALIDATE_MS, 'stale-while-revalidate has an end');
      break;
    case 'stale-if-error':
      demand(hadReason(facts, atMs), 'stale-if-error needs an error');
      break;
    default:
      if (why === undefined) {
        demand(isFresh && isOwn, 'a hit is fresh and of its own key');
        break;
      }
      // What another replica has loaded since may have taken its place.
      demand(
        given.origin === 'upstream' ? given.storedAtMs === atMs : facts.settings.hasStore && isFresh,
        'what was loaded is answered at once',
      );
      if (collapsed === undefined) given.loaders += 1;
      // Empty lists of the same moment cannot be told apart where what is loaded is not kept.
      demand(given.loaders <= 1 || (isEmpty && !isRoomy), 'one caller loads, the others are collapsed');
      demand(stored === undefined || (isOwn && collapsed === undefined), 'stored by who loaded its own key');
      // Unless it was evicted at that very moment.
      demand(
        stored !== undefined || !isOwn || collapsed !== undefined || !isRoomy,
        'what was loaded is stored',
      );
  }
  demand(isFresh || !isRejectionOver, 'stale data ends 60 s after the first rejection');
  // Nothing was held, and no load can have failed for anything else.
  const isRejected = facts.guards.hasOnlyRejections() && atMs - facts.startedAtMs < ATTEMPT_TIMEOUT_MS;
  // Another read may have taken it in while it was fresh.
  const wasFresh = given.freshUntilMs > ask.startedAtMs;
  demand(isFresh || wasFresh || !ask.wasUnknown || !isRejected, 'no stale data is taken in for a rejection');
}

/** Has a load failed, or may one have waited in vain for its turn behind other calls? */
function hadReason({ guards, upstream }: ServiceFacts, atMs: number): boolean {
  const isCrowded = upstream.underWay.length > 0 || guards.lastEndedMs > atMs - ATTEMPT_TIMEOUT_MS;
  return guards.wasTroubled() || isCrowded;
}

function checkOrder(
  { settings, order, demand }: ServiceFacts,
  ask: Ask,
  given: GivenList,
  atMs: number,
): void {
  const isNewest = settings.maxEntries < ROOMY_ENTRIES || !order.isOutdated(ask.key, given, atMs);
  const rule = 'no answer is older, by the begin of its load, than an answer or a finished load before';
  demand(isNewest, rule, { ask, given });
  order.note(ask.key, given, atMs);
}

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  upstream_rejected: 502,
  upstream_failed: 502,
  upstream_timeout: 504,
  upstream_throttled: 503,
  overloaded: 503,
};

function checkError({ guards, demand }: ServiceFacts, ask: Ask, answer: Answer): void {
  const { breaker } = guards;
  const { atMs, status, headers, text, wasServable, wasShared } = answer;
  const { code } = JSON.parse(text) as { code: string };
  const all = { ask, status, code };
  demand(STATUS_OF_CODE[code] === status, 'an error has its code', all);
  demand(!wasServable, 'no error while data is held that may be served', all);
  const isMissed = wasShared && ask.wasUnknown && code !== 'upstream_rejected';
  demand(!isMissed, 'no error while the store holds data that may be served', all);
  const retryAfterSeconds = Number(headers.get('retry-after') ?? Number.NaN);
  const lastMs = (...endings: Parameters<typeof guards.lastMs>[0][]) =>
    Math.max(...endings.map(guards.lastMs));
  const sinceMs = atMs - 3 * DEADLINE_MS;
  switch (code) {
    case 'upstream_rejected':
      demand(
        guards.lastMs('401') > atMs - LONGEST_LOCK_OUT_MS - DEADLINE_MS,
        'upstream_rejected needs a 401',
        all,
      );
      break;
    case 'upstream_failed':
      demand(lastMs('500', 'reset', 'garbage', 'broken') >= sinceMs, 'upstream_failed needs a failure', all);
      break;
    case 'upstream_throttled':
      demand(
        Math.max(guards.lastMs('429'), guards.heldUntilMs) >= sinceMs,
        'upstream_throttled needs a 429',
        all,
      );
      demand(retryAfterSeconds >= 1, 'upstream_throttled says when to come again', all);
      break;
    case 'overloaded':
      demand(!breaker.isClosed || breaker.closedAtMs >= sinceMs, 'overloaded needs an open breaker', all);
      demand(retryAfterSeconds >= 1, 'overloaded says when to come again', all);
      break;
    default:
  }
}
