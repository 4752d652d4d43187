import type { SharedEntry } from './entries.ts';

/** Part of each value: an entry of another format is none. */
export const ENTRY_FORMAT = '1';
/** The clocks of instances may differ by so much; an entry from further ahead is none: 60 seconds. */
export const CLOCK_TOLERANCE_MS = 60_000;
/** More than any body that upstream is let give. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_TIME_MS = 8.64e15;

/** An entry as a store holds it. */
export interface EntryFields {
  readonly format?: string | undefined;
  readonly begun?: string | undefined;
  readonly stored?: string | undefined;
  readonly fresh?: string | undefined;
  readonly body?: Uint8Array<ArrayBuffer> | undefined;
}

/** Whole milliseconds in decimal digits. */
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
 * Reads what a store holds and anybody may have written.
 *
 * @returns undefined when these are not the fields of an entry, or its times cannot be
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
