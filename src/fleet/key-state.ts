import type { KeyKnowledge } from './key-proofs.ts';
import { LONGEST_LOCK_OUT_MS, lockOutMs } from './lock-out.ts';

/** Rejections of all replicas in REJECTION_WINDOW_MS, and calls under way that may become some: 4. */
const MAX_REJECTIONS_OF_ALL = 4;
/** Rejections count for 5 minutes. */
export const REJECTION_WINDOW_MS = 300_000;
/** What is further ahead than a call can take is from before the clock of the store was set. */
const LONGEST_CALL_MS = 600_000;
/**
 * A call without an answer that began this long before one that was accepted is not expected to be rejected any more: 1
 * second. Replicas whose network is gone must not hold the places of all.
 */
const OUTRUN_MS = 1000;

/**
 * What replicas have written of one access key id, as text by field: `call:<token>` with the digest of its credential,
 * begin and end, `rejection:<token>` with its time, and for each credential `accepted:<digest>` with the begin of the last
 * accepted call that told something, `lock:<digest>` and `count:<digest>` (rejections since it was accepted). Times are
 * milliseconds of the store's clock.
 */
export type KeyFields = Readonly<Record<string, string>>;

/** A call that one replica makes or wants to make. */
export interface KeyCall {
  readonly token: string;
  /** Of the credential. */
  readonly digest: string;
  readonly begunAtMs: number;
}

/** Fields to write and to remove. */
export interface KeyChange {
  readonly set: Record<string, string>;
  readonly remove: string[];
}

/** What announces a call, before the fields are read: of two replicas at least one sees the other. */
export function announceCall({ token, digest, begunAtMs }: KeyCall, leaseMs: number): Record<string, string> {
  return { [`call:${token}`]: `${digest} ${begunAtMs} ${begunAtMs + leaseMs}` };
}

/**
 * Whether an announced call may be made.
 *
 * @returns `busy`: the announcement is to be withdrawn, and made again later
 */
export function judgeCall(
  fields: KeyFields,
  { token, digest, begunAtMs: nowMs }: KeyCall,
  { isAccepted, isClockCorrected }: KeyKnowledge,
): 'ours' | 'busy' | 'locked_out' {
  const rejections = rejectionsIn(fields, nowMs).length;
  if (rejections >= MAX_REJECTIONS_OF_ALL) return 'locked_out';
  const others = callsIn(fields, nowMs).filter(
    (call) => call.token !== token && !isOutrun(call, fields, nowMs),
  );
  if (others.length + rejections >= MAX_REJECTIONS_OF_ALL) return 'busy';
  if (isAccepted || fields[`accepted:${digest}`] !== undefined) return 'ours';
  if (others.some((call) => call.digest === digest)) return 'busy';
  const lockMs = Number(fields[`lock:${digest}`] ?? 0) - nowMs;
  return lockMs > 0 && lockMs <= LONGEST_LOCK_OUT_MS && !isClockCorrected ? 'locked_out' : 'ours';
}

/** What is left of calls and rejections that count no longer. */
export function outdatedFields(fields: KeyFields, nowMs: number): string[] {
  const counting = new Set([
    ...callsIn(fields, nowMs).map(({ token }) => `call:${token}`),
    ...rejectionsIn(fields, nowMs),
  ]);
  return Object.keys(fields).filter((field) => /^(?:call|rejection):/.test(field) && !counting.has(field));
}

/**
 * What an accepted call changes. Rejections before it began are forgotten: the vendor locks a key for those in a row.
 *
 * @param fields as they were when it began
 */
export function noteAccepted(fields: KeyFields, { token, digest, begunAtMs }: KeyCall): KeyChange {
  const forgotten = rejectionsIn(fields, begunAtMs);
  const ofLock = [`lock:${digest}`, `count:${digest}`].filter((field) => field in fields);
  const isNews =
    fields[`accepted:${digest}`] === undefined ||
    forgotten.length + ofLock.length > 0 ||
    callsIn(fields, begunAtMs).some((call) => call.token !== token && !isOutrun(call, fields, begunAtMs));
  return {
    set: isNews ? { [`accepted:${digest}`]: String(begunAtMs) } : {},
    remove: [`call:${token}`, ...forgotten, ...ofLock],
  };
}

/**
 * What a rejected call changes. The key has to be proved again. The lock of one that was accepted before does not double:
 * who starts with it next must not wait for an hour.
 *
 * @param fields as they were when it began
 * @param wasAccepted as the instance knows
 * @param random from 0 (inclusive) to 1 (exclusive), for jitter
 */
export function noteRejected(
  fields: KeyFields,
  { token, digest }: KeyCall,
  wasAccepted: boolean,
  nowMs: number,
  random: number,
): KeyChange {
  const isFirst = wasAccepted || fields[`accepted:${digest}`] !== undefined;
  const count = isFirst ? 1 : readCount(fields[`count:${digest}`]) + 1;
  return {
    set: {
      [`rejection:${token}`]: String(nowMs),
      [`lock:${digest}`]: String(Math.round(nowMs + lockOutMs(count, random))),
      [`count:${digest}`]: String(count),
    },
    remove: [`call:${token}`, `accepted:${digest}`],
  };
}

function readCount(text = '0'): number {
  return /^\d{1,4}$/.test(text) ? Number(text) : 0;
}

interface AnnouncedCall extends KeyCall {
  readonly endsAtMs: number;
}

function announcedIn(fields: KeyFields): AnnouncedCall[] {
  return Object.entries(fields).flatMap(([field, text]) => {
    if (!field.startsWith('call:')) return [];
    const [digest = '', begin, end] = text.split(' ');
    return [{ token: field.slice('call:'.length), digest, begunAtMs: Number(begin), endsAtMs: Number(end) }];
  });
}

/** Calls under way. */
function callsIn(fields: KeyFields, nowMs: number): AnnouncedCall[] {
  return announcedIn(fields).filter(({ endsAtMs }) => {
    const leftMs = endsAtMs - nowMs;
    return leftMs > 0 && leftMs <= LONGEST_CALL_MS;
  });
}

/** A later call with the same credential was accepted. A time that is ahead is from before the clock was set. */
function isOutrun({ digest, begunAtMs }: AnnouncedCall, fields: KeyFields, nowMs: number): boolean {
  const acceptedAtMs = Number(fields[`accepted:${digest}`] ?? Number.NaN);
  return begunAtMs + OUTRUN_MS < acceptedAtMs && acceptedAtMs <= nowMs;
}

/**
 * The fields of rejections, and of calls that nobody has ended: what became of those is not known, since the replica that
 * made them has stopped. A time that is ahead is of a replica that was quicker.
 */
function rejectionsIn(fields: KeyFields, nowMs: number): string[] {
  const rejections = Object.entries(fields).filter(
    ([field, text]) => field.startsWith('rejection:') && nowMs - Number(text) < REJECTION_WINDOW_MS,
  );
  const lost = announcedIn(fields).filter(({ digest, endsAtMs }) => {
    const sinceMs = nowMs - endsAtMs;
    return sinceMs >= 0 && sinceMs < REJECTION_WINDOW_MS && fields[`accepted:${digest}`] === undefined;
  });
  return [...rejections.map(([field]) => field), ...lost.map(({ token }) => `call:${token}`)];
}
