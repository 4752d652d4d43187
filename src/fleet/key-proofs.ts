import type { Credential } from '../signing/credential.ts';

/** What the vendor said of a key; `clock`: it rejected the date, `neutral`: nothing. */
export type KeyVerdict = 'accepted' | 'rejected' | 'clock' | 'neutral';

/** What an instance knows of a key. */
export interface KeyKnowledge {
  /** The vendor has accepted it from this instance. */
  readonly isAccepted: boolean;
  /** A rejection has corrected the clock, so that another call may be accepted. */
  readonly isClockCorrected: boolean;
}

/** The permission to make one call with a key. It ends by itself when nobody leaves it. */
export interface KeyUse {
  /** Ends it. Never rejects. */
  leave(verdict: KeyVerdict): Promise<void>;
}

/** `busy`: calls of others decide first, ask again; `locked_out`: no call may be made now. */
export type KeyAnswer = KeyUse | 'busy' | 'locked_out';

/**
 * What replicas know of keys together. The vendor locks a key after more than 5 rejections, of all its users together: all
 * replicas stay at 4 in any 5 minutes, and a key that was never accepted is proved by one call of one of them.
 */
export interface KeyProofs {
  /**
   * Asks to make one call. Never rejects.
   *
   * @param leaseMs time after which the call has ended, whatever became of it
   * @returns undefined when the store does not say: then the instance goes by what it knows itself
   */
  enter(credential: Credential, known: KeyKnowledge, leaseMs: number): Promise<KeyAnswer | undefined>;
}

/** Interval at which a call that waits for others asks again: 100 ms, and up to as much more. */
const ASK_AGAIN_MS = 100;

interface Waiting {
  readonly schedule: (callback: () => void, delayMs: number) => unknown;
  readonly random: () => number;
  /** Aborted when nobody waits for the call any more. */
  readonly signal: AbortSignal;
}

/**
 * Asks to make one call, and again until others have decided.
 *
 * @param ask see KeyProofs.enter
 * @returns `busy` when the signal was aborted before they had
 */
export async function waitForKey(
  ask: () => Promise<KeyAnswer | undefined>,
  { schedule, random, signal }: Waiting,
): Promise<KeyAnswer | undefined> {
  for (;;) {
    const answer = await ask();
    if (signal.aborted) {
      if (typeof answer === 'object') void answer.leave('neutral');
      return 'busy';
    }
    if (answer !== 'busy') return answer;
    await new Promise<void>((resolve) => schedule(resolve, ASK_AGAIN_MS * (1 + random())));
  }
}
