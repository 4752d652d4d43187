import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Span } from './stretch.ts';

export const USAGE = `Usage: npm run soak [-- --minutes N] [--quick] [--seed N] [--json]

  --minutes N   how long the service is under load; 10 by default, at least 0.5
  --quick       a quarter of a minute, with at least one of each disturbance
  --seed N      the disturbances of an earlier run: a whole number below 2^31
  --json        prints one line of JSON instead of a table
`;

/** How long everything takes. */
export interface Pace {
  /** Caches fill and code is compiled; memory and handles are compared from the end of it on. */
  readonly warmUpMs: number;
  readonly loadMs: number;
  /** Upstream misbehaves for so long, and is left alone for so long once it has recovered. */
  readonly misbehaviourMs: Span;
  readonly calmMs: Span;
  readonly betweenRedisMs: Span;
  readonly betweenAccessKeysMs: Span;
  /** At most so long it takes until sockets that were closed are gone. */
  readonly settleMs: number;
}

export interface SoakOptions {
  readonly seed: number;
  readonly isQuick: boolean;
  readonly isJson: boolean;
  readonly pace: Pace;
}

const DEFAULT_MINUTES = 10;
/** In less not everything comes round once. */
const LEAST_MINUTES = 0.5;
const LONGEST_WARM_UP_MS = 60_000;
const WARM_UP_SHARE = 0.2;

const QUICK: Pace = {
  warmUpMs: 4000,
  loadMs: 9000,
  misbehaviourMs: [800, 2000],
  calmMs: [500, 1500],
  betweenRedisMs: [700, 3500],
  betweenAccessKeysMs: [2000, 4000],
  settleMs: 700,
};

/** The pace of so many minutes, warm-up included. */
function paceOf(minutes: number): Pace {
  const allMs = minutes * 60_000;
  const warmUpMs = Math.min(LONGEST_WARM_UP_MS, allMs * WARM_UP_SHARE);
  return {
    warmUpMs,
    loadMs: allMs - warmUpMs,
    misbehaviourMs: [1000, 6000],
    calmMs: [1000, 8000],
    betweenRedisMs: [500, 12_000],
    betweenAccessKeysMs: [2000, 10_000],
    settleMs: 6000,
  };
}

/** @throws Error that says which argument is wrong */
export function readOptions(args: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      quick: { type: 'boolean' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
  if (!(minutes >= LEAST_MINUTES && Number.isFinite(minutes)))
    throw new Error(`--minutes is not a number from ${LEAST_MINUTES} on`);
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31))
    throw new Error('--seed is not a whole number below 2^31');
  const isQuick = values.quick === true;
  if (isQuick && values.minutes !== undefined) throw new Error('--quick and --minutes exclude each other');
  return { seed, isQuick, isJson: values.json === true, pace: isQuick ? QUICK : paceOf(minutes) };
}
