import type { RandomStream } from './random-stream.ts';
import type { RotatingIssuer } from './rotating-issuer.ts';
import { rest, type Stretch } from './stretch.ts';

/** Times of tokens are checked with 30 seconds of tolerance (docs/callers.md). */
const CLOCK_TOLERANCE_SECONDS = 30;

const READ = 'imagecaches:read';
const READ_AND_REFRESH = 'imagecaches:read imagecaches:refresh';

/** A new token of a new caller so often. */
const RENEW_MS = 100;
/** So many are in use: a token is used for two seconds. */
const GOOD_TOKENS = 20;
/** Of every so many new tokens one ends while it is in use, and the bad ones are made again. */
const OTHERS_EVERY = 10;
/** Tokens that end have this many seconds left, and are used for as long after their end. */
const SECONDS_LEFT = 3;
const EXPIRING_TOKENS = 6;
const HOUR_SECONDS = 3600;

export interface CallerToken {
  readonly value: string;
  /** It has to be refused from then on; Infinity: not while it is in use. */
  readonly refusedFromMs: number;
  /** The number of the issuer's key that signed it. */
  readonly keyNumber: number;
}

interface BadTokens {
  readonly expired: string;
  readonly withoutScope: string;
  readonly forged: string;
  readonly ofUnknownKey: string;
}

/** The tokens of all callers, which are replaced all the time. */
export interface CallerTokens {
  /** Resolves when there is one of each. */
  readonly begin: () => Promise<void>;
  readonly renewUntilEnd: (stretch: Stretch) => Promise<void>;
  good(random: RandomStream): CallerToken;
  /** Good, soon expired, or expired. */
  expiring(random: RandomStream): CallerToken;
  readonly bad: BadTokens;
  /** Signed so far, with all that are bad. */
  readonly made: number;
}

export function createCallerTokens(issuer: RotatingIssuer): CallerTokens {
  const good: CallerToken[] = [];
  const expiring: CallerToken[] = [];
  let bad: BadTokens | undefined;
  let made = 0;

  function claims(scope: string, secondsLeft: number) {
    made += 1;
    // Each is another caller's, so that what is kept for each caller grows as far as it can.
    const expiresAtSeconds = Math.floor(Date.now() / 1000) + secondsLeft;
    return { subject: `caller-${made}`, scope, expiresAtSeconds };
  }

  async function renewGood(): Promise<void> {
    const keyNumber = issuer.rotations;
    const value = await issuer.sign(claims(READ_AND_REFRESH, HOUR_SECONDS));
    good.push({ value, refusedFromMs: Number.POSITIVE_INFINITY, keyNumber });
    if (good.length > GOOD_TOKENS) good.shift();
  }

  async function renewOthers(): Promise<void> {
    const keyNumber = issuer.rotations;
    const ending = claims(READ, SECONDS_LEFT - CLOCK_TOLERANCE_SECONDS);
    const [value, expired, withoutScope, forged, ofUnknownKey] = await Promise.all([
      issuer.sign(ending),
      issuer.sign(claims(READ, -CLOCK_TOLERANCE_SECONDS - 5)),
      issuer.sign(claims('other', HOUR_SECONDS)),
      issuer.forge(claims(READ, HOUR_SECONDS), 'known'),
      issuer.forge(claims(READ, HOUR_SECONDS), 'unknown'),
    ]);
    const refusedFromMs = (ending.expiresAtSeconds + CLOCK_TOLERANCE_SECONDS) * 1000;
    expiring.push({ value, refusedFromMs, keyNumber });
    if (expiring.length > EXPIRING_TOKENS) expiring.shift();
    bad = { expired, withoutScope, forged, ofUnknownKey };
  }

  return {
    begin: async () => {
      await Promise.all([renewGood(), renewOthers()]);
    },
    async renewUntilEnd(stretch) {
      for (let round = 1; await rest(RENEW_MS, stretch); round += 1) {
        await renewGood();
        if (round % OTHERS_EVERY === 0) await renewOthers();
      }
    },
    good: (random) => random.oneOf(good),
    expiring: (random) => random.oneOf(expiring),
    get bad() {
      return bad as BadTokens;
    },
    get made() {
      return made;
    },
  };
}
