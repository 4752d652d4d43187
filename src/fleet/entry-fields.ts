import type { SharedEntry } from './entries.ts';

/** Format of stored entries, part of each; entries in another format are ignored. */
export const ENTRY_FORMAT = '1';
/** Largest difference between the clocks of replicas; entries from further ahead are ignored: 60 seconds. */
export const CLOCK_TOLERANCE_MS = 60_000;
/** Largest body of an entry: 8 MiB, as much as is read from upstream. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Latest time that a Date can hold. */
const MAX_TIME_MS = 8.64e15;

/** An entry as a store holds it: its fields may have any value. */
export interface EntryFields {
  readonly format?: string | undefined;
  readonly begun?: string | undefined;
  readonly stored?: string | undefined;
  readonly fresh?: string | undefined;
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
}

/** The times of an entry as whole milliseconds, in decimal digits. */
export function writeEntryTimes(entry: SharedEntry): {
  readonly begun: string;
  readonly stored: string;
  readonly fresh: string;
} {
  const [begun, stored, fresh] = [entry.begunAtMs, entry.storedAtMs, entry.freshUntilMs].map((ms) =>
    String(Math.round(ms)),
  ) as [string, string, string];
  return { begun, stored, fresh };
}

/**
 * Reads an entry from a store that others can write to.
 *
 * @returns undefined when a field is missing or malformed, or when the times contradict each other or the clock
 */
export function readEntryFields(
  { format, begun, stored, fresh, body }: EntryFields,
  nowMs: number,
): SharedEntry | undefined {
  if (format !== ENTRY_FORMAT || body === undefined || body.byteLength > MAX_BODY_BYTES) return undefined;
  const begunAtMs = readTime(begun);
  const storedAtMs = readTime(stored);
  const freshUntilMs = readTime(fresh);
  if (begunAtMs === undefined || storedAtMs === undefined || freshUntilMs === undefined) return undefined;
  if (begunAtMs > storedAtMs || storedAtMs > nowMs + CLOCK_TOLERANCE_MS) return undefined;
  return { body, begunAtMs, storedAtMs, freshUntilMs };
}

function readTime(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const timeMs = Number(text);
  return timeMs <= MAX_TIME_MS ? timeMs : undefined;
}
