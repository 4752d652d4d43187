import type { RandomStream } from './random-stream.ts';
import type { RotatingIssuer } from './rotating-issuer.ts';
import { rest, type Span, type Stretch } from './stretch.ts';

const FIRST_AFTER_MS: Span = [1500, 6000];
/** The service asks for unknown keys once in 30 seconds, so a key that is new in the set is known after that time. */
const BETWEEN_MS: Span = [35_000, 55_000];

/** The issuer signs with another key now and then; no good token may be refused for it. */
export async function rotateSigningKeysUntilEnd(
  stretch: Stretch,
  { issuer, random }: { issuer: RotatingIssuer; random: RandomStream },
): Promise<void> {
  for (;;) {
    const { rotatedAtMs } = issuer;
    const nextInMs =
      rotatedAtMs === undefined
        ? random.between(FIRST_AFTER_MS)
        : rotatedAtMs + random.between(BETWEEN_MS) - Date.now();
    if (!(await rest(nextInMs, stretch))) return;
    await issuer.rotate();
  }
}
