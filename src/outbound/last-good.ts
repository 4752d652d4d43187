import type { Platform } from '../platform/platform.ts';
import type { Flight } from '../platform/single-flight.ts';
import { OutboundError } from './outbound-error.ts';

/** A load that has not ended after this time counts as lost, and a renewal may begin: 30 seconds. */
export const LOAD_LOST_MS = 30_000;

/** All durations are in milliseconds. */
export interface LastGoodOptions<Value> {
  /** Loads the value once. It must end within a time limit of its own. What it throws is a failure. */
  readonly load: () => Promise<Value>;
  /** The value in use before the first load. Default: none, so that the first callers wait for a load. */
  readonly initial?: Value;
  /** Whether two values are the same one; then the older object stays. Default: Object.is. */
  readonly isSame?: (a: Value, b: Value) => boolean;
  /** Whether the value may still be used while loads fail, that long after it was loaded. Default: always. */
  readonly isUsable?: (value: Value, ageMs: number) => boolean;
  /** How long a loaded value must stay the same before it replaces the held one. Default: 0. */
  readonly settleMs?: (loaded: Value, held: Value) => number;

  /**
   * Age at which a value is renewed in the background. A load that brings the same value may put the renewal off, and
   * never brings it forward. Default: never.
   */
  readonly renewAfterMs?: (value: Value, isUnchanged: boolean) => number;
  /** Age from which callers wait for the renewal, unless the last load failed. Default: never. */
  readonly waitAfterMs?: number;
  /** Whether a renewal is due whatever the age is, and callers wait for it, unless the last load failed. Default: never. */
  readonly isDoubtful?: (value: Value) => boolean;
  /** Callers wait for a load when the last one began this long ago, even if it failed. Default: never. */
  readonly checkIntervalMs?: number;
  /** `reload` loads at most once in this time. Default: 0. */
  readonly reloadIntervalMs?: number;
  /** No load begins for this time after a good one. Default: 0. */
  readonly cooldownMs?: number;
  /** No load begins for this time after a failed one; `failures` counts those in a row, from 1. */
  readonly pauseMs: (failures: number, error: unknown) => number;

  /** A loaded value has come into use. `replaced` is undefined for the first one. */
  readonly onLoaded?: (value: Value, replaced: Value | undefined) => void;
  /** A load has failed, with `failures` of them in a row. */
  readonly onFailed?: (error: unknown, failures: number) => void;
  /** The first good load after failures. */
  readonly onRecovered?: () => void;
  /** Calls `onFailed` only when the OutboundError has another code than the failure before. Default: false. */
  readonly isReportedOnce?: boolean;
}

/** A value with the last good one kept in use while loads fail. */
export interface LastGood<Value> {
  /**
   * The value to use now: at once where one may be used, and a renewal that is due begins in the background. Otherwise
   * after a load, and undefined when there is still none. Never rejects.
   */
  get(): Value | Promise<Value | undefined>;
  /** The value that may be used now, if any. Starts nothing. */
  current(): Value | undefined;
  /** True while a value may be used. A renewal that is due begins, so that a service without traffic keeps its value. */
  usable(): boolean;
  /** Loads a value if none may be used and no pause lasts. Never rejects. */
  warm(): Promise<void>;
  /**
   * Somebody else has rejected the value: loads unless a pause, the cooldown or the interval between reloads lasts. A
   * load that had begun before and changes nothing is followed by one more. Never rejects.
   */
  reload(): Promise<void>;
  /** Failed loads in a row; 0 after a good one. */
  readonly failures: number;
  /** Time until a load may begin; 0 when one may. */
  pauseLeftMs(): number;
}

export type LastGoodPlatform = Pick<Platform, 'elapsed' | 'waitUntil' | 'createSingleFlight'>;

/**
 * Looks after a value that somebody else provides. Everyone who asks meanwhile joins one load, in the single flight of
 * the runtime; a mark with a time keeps callers from renewing a value that is being renewed. Loads overlap where one that
 * seemed lost was taken over: the newest good one counts, and failures together count as one. No promise is kept between
 * calls.
 */
export function createLastGood<Value>(
  options: LastGoodOptions<Value>,
  platform: LastGoodPlatform,
): LastGood<Value> {
  const { waitAfterMs = Infinity, isDoubtful, checkIntervalMs, reloadIntervalMs = 0 } = options;
  const reloads = platform.createSingleFlight();
  const held = createHeldValue(options, platform.elapsed);
  const loads = createLoads(options, held.take, platform);
  let reloadedAtMs = -Infinity;

  async function getAfterLoad(): Promise<Value | undefined> {
    await loads.start()?.promise;
    return held.current();
  }

  function isInDoubt(): boolean {
    const value = held.current();
    return value !== undefined && isDoubtful?.(value) === true;
  }

  function renewIfDue(): void {
    if ((held.isRenewalDue() || isInDoubt()) && !loads.isRunning()) loads.start();
  }

  async function reload(): Promise<void> {
    if (platform.elapsed() - reloadedAtMs < reloadIntervalMs) return;
    reloadedAtMs = platform.elapsed();
    const before = held.current();
    const flight = loads.start();
    await flight?.promise;
    // It may have looked before there was a change to see.
    if (flight?.joined && held.current() === before) await loads.start()?.promise;
  }

  return {
    get() {
      const value = held.current();
      const isCheckDue = checkIntervalMs !== undefined && loads.isOlderThan(checkIntervalMs);
      if (value === undefined || isCheckDue) return getAfterLoad();
      if (loads.failures === 0 && (held.isOlderThan(waitAfterMs) || isInDoubt())) return getAfterLoad();
      renewIfDue();
      return value;
    },
    current: held.current,
    usable() {
      if (held.current() === undefined) return false;
      renewIfDue();
      return true;
    },
    async warm() {
      if (held.current() === undefined) await loads.start()?.promise;
    },
    reload: () => reloads.run('reload', reload).promise,
    get failures() {
      return loads.failures;
    },
    pauseLeftMs: loads.pauseLeftMs,
  };
}

interface HeldValue<Value> {
  current(): Value | undefined;
  isOlderThan(ageMs: number): boolean;
  isRenewalDue(): boolean;
  /** Takes what was loaded, at once or when it has settled. */
  take(loaded: Value): void;
}

function createHeldValue<Value>(options: LastGoodOptions<Value>, elapsed: () => number): HeldValue<Value> {
  const { initial, isSame = Object.is, isUsable, settleMs, renewAfterMs, onLoaded } = options;
  let held: { readonly value: Value; readonly loadedAtMs: number; readonly renewFromMs: number } | undefined;
  let unsettled: { readonly value: Value; readonly sinceMs: number } | undefined;
  if (initial !== undefined) hold(initial, false);

  function hold(value: Value, isUnchanged: boolean): void {
    const loadedAtMs = elapsed();
    const plannedMs = isUnchanged && held !== undefined ? held.renewFromMs : -Infinity;
    const renewFromMs = loadedAtMs + (renewAfterMs?.(value, isUnchanged) ?? Infinity);
    held = { value, loadedAtMs, renewFromMs: Math.max(plannedMs, renewFromMs) };
    unsettled = undefined;
  }

  function hasSettled(loaded: Value, replaced: Value): boolean {
    if (unsettled === undefined || !isSame(unsettled.value, loaded))
      unsettled = { value: loaded, sinceMs: elapsed() };
    return elapsed() - unsettled.sinceMs >= (settleMs?.(loaded, replaced) ?? 0);
  }

  return {
    current() {
      if (held === undefined) return undefined;
      const { value, loadedAtMs } = held;
      return isUsable === undefined || isUsable(value, elapsed() - loadedAtMs) ? value : undefined;
    },
    isOlderThan: (ageMs) => held !== undefined && elapsed() - held.loadedAtMs >= ageMs,
    isRenewalDue: () => held !== undefined && elapsed() >= held.renewFromMs,
    take(loaded) {
      const replaced = held?.value;
      if (held !== undefined && isSame(held.value, loaded)) return hold(held.value, true);
      if (held !== undefined && !hasSettled(loaded, held.value)) return;
      hold(loaded, false);
      onLoaded?.(loaded, replaced);
    },
  };
}

interface Loads {
  /** Starts a load, or joins the one under way. Undefined while a pause or the cooldown lasts. Never rejects. */
  start(): Flight<void> | undefined;
  /** True while a load is under way that is not lost. */
  isRunning(): boolean;
  /** True when the newest load began at least this long ago, or there was none. */
  isOlderThan(ageMs: number): boolean;
  readonly failures: number;
  pauseLeftMs(): number;
}

function createLoads<Value>(
  options: LastGoodOptions<Value>,
  take: (loaded: Value) => void,
  { elapsed, waitUntil, createSingleFlight }: LastGoodPlatform,
): Loads {
  const { load, cooldownMs = 0, pauseMs, onFailed, onRecovered, isReportedOnce = false } = options;
  const flights = createSingleFlight();
  let failures = 0;
  let failure: unknown;
  let quiet = { sinceMs: -Infinity, forMs: 0 };
  /** Loads are numbered as they begin: this many have begun. */
  let begun = 0;
  let newest = { startedAtMs: -Infinity, isRunning: false };
  /** The number of the load that gave the last good value. What began before it changes nothing any more. */
  let lastGood = 0;
  /** Loads up to this number had begun when a failure was counted: they count as the same one. */
  let lastFailed = 0;

  async function run(): Promise<void> {
    begun += 1;
    const number = begun;
    const own = { startedAtMs: elapsed(), isRunning: true };
    newest = own;
    try {
      const loaded = await load();
      if (number > lastGood) succeed(loaded, number);
    } catch (error) {
      if (number > lastGood && number > lastFailed) fail(error);
    } finally {
      own.isRunning = false;
    }
  }

  function succeed(loaded: Value, number: number): void {
    if (failures > 0) onRecovered?.();
    failures = 0;
    failure = undefined;
    quiet = { sinceMs: elapsed(), forMs: cooldownMs };
    take(loaded);
    lastGood = number;
  }

  function fail(error: unknown): void {
    const isNews = failures === 0 || codeOf(error) !== codeOf(failure);
    failures += 1;
    failure = error;
    lastFailed = begun;
    quiet = { sinceMs: elapsed(), forMs: pauseMs(failures, error) };
    if (isNews || !isReportedOnce) onFailed?.(error, failures);
  }

  const pauseLeftMs = () => Math.max(0, quiet.forMs - (elapsed() - quiet.sinceMs));

  return {
    start() {
      if (pauseLeftMs() > 0) return undefined;
      const flight = flights.run('load', run);
      if (!flight.joined) waitUntil(flight.promise);
      return flight;
    },
    isRunning: () => newest.isRunning && elapsed() - newest.startedAtMs < LOAD_LOST_MS,
    isOlderThan: (ageMs) => elapsed() - newest.startedAtMs >= ageMs,
    get failures() {
      return failures;
    },
    pauseLeftMs,
  };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof OutboundError ? error.code : undefined;
}
