import { writeFile } from 'node:fs/promises';
import type { AccessKey, Simulator } from '../simulator/simulator.ts';
import type { RandomStream } from './random-stream.ts';
import { ACCESS_KEY_ID, SECRET_KEY } from './secrets.ts';
import type { Situation } from './situation.ts';
import { rest, type Span, type Stretch } from './stretch.ts';
import type { Tally } from './tally.ts';

/** Mostly the old key still works when the new one comes; else it is refused first, as when it was deleted by mistake. */
const REFUSED_FIRST_SHARE = 0.25;
const REFUSED_MS: Span = [300, 6000];
/** An old key is taken away when the new one has been in the files for so long. */
const OVERLAP_MS = 4000;

export interface KeyFiles {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface AccessKeyRotation {
  readonly untilEnd: (stretch: Stretch, betweenMs: Span) => Promise<void>;
  readonly rotations: number;
  /** Rotations that came after the key was refused. */
  readonly refusals: number;
}

/** Writes the first key pair, and later others, into the files that the service reads. */
export async function createAccessKeyRotation(
  files: KeyFiles,
  parts: { simulator: Simulator; situation: Situation; random: RandomStream; tally: Tally },
): Promise<AccessKeyRotation> {
  const { simulator, situation, random, tally } = parts;
  let current = makeKey(0);
  let replacedAtMs = Date.now();
  let rotations = 0;
  let refusals = 0;
  /** Replaced, and still known upstream. */
  let old: AccessKey | undefined;

  const write = (key: AccessKey) =>
    Promise.all([
      writeFile(files.accessKeyId, key.accessKeyId),
      writeFile(files.secretAccessKey, key.secretAccessKey),
    ]);

  async function replace(): Promise<void> {
    rotations += 1;
    const next = makeKey(rotations);
    simulator.credentials.add(next);
    await write(next);
    old = current;
    current = next;
    replacedAtMs = Date.now();
  }

  async function replaceRefused(stretch: Stretch): Promise<void> {
    const { accessKeyId } = current;
    simulator.credentials.add({ accessKeyId, secretAccessKey: `${SECRET_KEY}-another` });
    situation.keyRefused(Date.now());
    const stallsBefore = situation.stalls;
    await rest(random.between(REFUSED_MS), stretch);
    refusals += 1;
    await replace();
    situation.keyReplaced(replacedAtMs);
    // More than five failures in a row lock a key. Each replica makes two; one that is refused after its time, as
    // upstream stood still, it does not learn of.
    const isLocked = simulator.credentials.isLocked(accessKeyId, Date.now());
    if (isLocked && situation.stalls === stallsBefore)
      tally.wrong('upstream locked an access key for its failures');
  }

  simulator.credentials.replace([current]);
  await write(current);
  return {
    async untilEnd(stretch, betweenMs) {
      while (await rest(random.between(betweenMs), stretch)) {
        if (old !== undefined && Date.now() - replacedAtMs > OVERLAP_MS)
          simulator.credentials.remove(old.accessKeyId);
        if (random.next() < REFUSED_FIRST_SHARE) await replaceRefused(stretch);
        else await replace();
      }
    },
    get rotations() {
      return rotations;
    },
    get refusals() {
      return refusals;
    },
  };
}

function makeKey(number: number): AccessKey {
  return { accessKeyId: `${ACCESS_KEY_ID}${number}`, secretAccessKey: `${SECRET_KEY}${number}` };
}
