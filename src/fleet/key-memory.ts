import { type KeyFields, REJECTION_WINDOW_MS } from './key-state.ts';
import { LONGEST_LOCK_OUT_MS } from './lock-out.ts';

/** Times in the store that differ by more from what is remembered are set right: 2 seconds. */
const TOLERANCE_MS = 2000;

/**
 * What an instance has read of one key, by its own elapsed time. The store may lose what it holds, and its clock may be
 * set: neither makes a rejected key good.
 */
export class KeyMemory {
  /** Of rejections and locks, elapsed time by field. */
  readonly #times = new Map<string, { text: string; atMs: number }>();
  #accepted: KeyFields = {};

  /**
   * Takes in what was read.
   *
   * @param nowMs the time of the store
   * @param elapsedMs elapsed time of this instance at that moment
   * @returns fields to write, which count as read: what is gone although no call was accepted, and times as they are now
   */
  repair(fields: KeyFields, nowMs: number, elapsedMs: number): Record<string, string> {
    const aheadMs = nowMs - elapsedMs;
    const isForgotten = this.#noteAcceptances(fields);
    for (const [field, text] of Object.entries(fields)) {
      const known = this.#times.get(field);
      // A lock that has changed is another one. A rejection stays what it was.
      if (known === undefined || (known.text !== text && field.startsWith('lock:')))
        this.#learn(field, text, nowMs, aheadMs);
    }
    const repaired: Record<string, string> = {};
    for (const [field, known] of this.#times) {
      const text = fields[field];
      if (isOver(field, known.atMs - elapsedMs) || (text === undefined && isForgotten)) {
        this.#times.delete(field);
        continue;
      }
      const atMs = Math.round(known.atMs + aheadMs);
      if (text !== undefined && Math.abs(Number(text) - atMs) <= TOLERANCE_MS) continue;
      known.text = String(atMs);
      repaired[field] = known.text;
    }
    return repaired;
  }

  /** Whether a call was accepted since fields were last read. */
  #noteAcceptances(fields: KeyFields): boolean {
    const accepted = Object.entries(fields).filter(([field]) => field.startsWith('accepted:'));
    const before = this.#accepted;
    this.#accepted = Object.fromEntries(accepted);
    return accepted.some(([field, text]) => before[field] !== text);
  }

  #learn(field: string, text: string, nowMs: number, aheadMs: number): void {
    const isLock = field.startsWith('lock:');
    const leftMs = Number(text) - nowMs;
    if (isLock ? !(leftMs <= LONGEST_LOCK_OUT_MS) : !field.startsWith('rejection:') || Number.isNaN(leftMs))
      return;
    // A rejection in the future was written before the clock was set.
    const atMs = nowMs + (isLock ? leftMs : Math.min(0, leftMs)) - aheadMs;
    if (!isOver(field, atMs + aheadMs - nowMs)) this.#times.set(field, { text, atMs });
  }
}

function isOver(field: string, fromNowMs: number): boolean {
  return field.startsWith('lock:') ? fromNowMs <= 0 : fromNowMs <= -REJECTION_WINDOW_MS;
}
