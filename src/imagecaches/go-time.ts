import { readDigits, twoDigits, utcEpochMs } from '../time/utc.ts';

/** A point in time as this service shows it. */
export interface UtcTime {
  /** RFC 3339 in UTC, always with exactly six fraction digits: `2024-11-25T06:32:34.923248Z`. */
  readonly text: string;
  /** The same instant in milliseconds since 1970, the microseconds cut off. */
  readonly epochMs: number;
}

export const MS_PER_DAY = 86_400_000;

const MS_PER_MINUTE = 60_000;
/** No zone is that far from UTC; a bound keeps a corrupt offset from shifting the date. */
const MAX_OFFSET_MINUTES = 24 * 60;
const MIN_YEAR = 1;
/** RFC 3339 has four digits for the year. */
const MAX_YEAR = 9999;

// Every repetition has an upper bound, so that a long text is refused at once. The groups are date, time of day, fraction and
// offset: a named one for each part would take as much time again as all the rest.
// The year 10000 is let in because its first hours, west to east, are still 9999 in UTC.
const GO_TIME =
  /^((?:\d{4}|10000)-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4}) [\p{L}\p{N}+\-_/:.]{1,64}(?: m=[+-]\d{1,20}\.\d{1,9})?$/u;

const RFC_3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/**
 * Reads the vendor's `created_at`: what Go's time.Time.String() prints, such as
 * `2024-11-25 06:32:34.923248 +0000 UTC` (ListImageCaches, field created_at; format.go of Go's package time).
 * RFC 3339 is read too, in case the vendor changes. `new Date()` is no help: on Go's form the engines differ.
 *
 * - Fraction: 0 to 9 digits; what is finer than a microsecond is cut off, never rounded, so that an instant
 *   is not moved into the next second, day or year.
 * - Offset: any up to 24:00 either way. It alone decides. The zone's name is checked for its shape (one word of
 *   up to 64 letters, digits and `+-_/:.`) and otherwise ignored, since `CST` has several meanings.
 * - A zone with seconds in its offset (local mean times before about 1920) loses them when Go prints it, so the
 *   instant that is read back differs from the original by up to 59 seconds. Nothing can be done about it here.
 * - A monotonic clock reading (` m=+0.012345678`) is ignored.
 * - Second 60, dates that do not exist, and instants outside the years 1 to 9999 in UTC are refused.
 *
 * Takes time linear in the text. Never throws.
 *
 * @returns undefined when the text is neither form, or names no such instant
 */
export function parseGoTime(text: string): UtcTime | undefined {
  const [, date, time, fraction = '', offset] = GO_TIME.exec(text) ?? RFC_3339.exec(text) ?? [];
  if (date === undefined || time === undefined || offset === undefined) return undefined;

  const localMs = readLocalMs(date, time);
  const offsetMinutes = readOffsetMinutes(offset);
  if (localMs === undefined || offsetMinutes === undefined) return undefined;
  const microseconds = fraction.padEnd(6, '0').slice(0, 6);
  const epochMs = localMs - offsetMinutes * MS_PER_MINUTE;
  // Nearly all are in UTC already.
  const utc = offsetMinutes === 0 ? joinUtc(date, time) : formatUtc(new Date(epochMs));
  if (utc === undefined) return undefined;
  return { text: `${utc}.${microseconds}Z`, epochMs: epochMs + readDigits(microseconds, 0, 3) };
}

/**
 * The instant a number of days later, at the same time of day. A day is 24 hours in UTC.
 *
 * @param days a whole number; 0 gives the same instant
 * @returns undefined past the year 9999
 */
export function addDays(time: UtcTime, days: number): UtcTime | undefined {
  const epochMs = time.epochMs + days * MS_PER_DAY;
  const date = formatDate(new Date(epochMs));
  return date === undefined ? undefined : { text: date + time.text.slice(date.length), epochMs };
}

/** @returns undefined when there is no such date or time of day */
function readLocalMs(date: string, time: string): number | undefined {
  const yearEnd = date.length - '-11-25'.length;
  return utcEpochMs({
    year: readDigits(date, 0, yearEnd),
    month: readDigits(date, yearEnd + 1, yearEnd + 3),
    day: readDigits(date, yearEnd + 4, yearEnd + 6),
    hour: readDigits(time, 0, 2),
    minute: readDigits(time, 3, 5),
    second: readDigits(time, 6, 8),
  });
}

/** @param offset `Z`, `+0800` or `+08:00` */
function readOffsetMinutes(offset: string): number | undefined {
  if (offset === 'Z' || offset === '+0000') return 0;
  const minute = readDigits(offset, offset.length - 2, offset.length);
  const total = readDigits(offset, 1, 3) * 60 + minute;
  if (minute > 59 || total > MAX_OFFSET_MINUTES) return undefined;
  return offset[0] === '-' ? -total : total;
}

/** `2024-11-25T06:32:34` of what is in UTC; undefined outside the years 1 to 9999. */
function joinUtc(date: string, time: string): string | undefined {
  return date.length > '9999-12-31'.length || date < '0001' ? undefined : `${date}T${time}`;
}

/** The same of a Date. */
function formatUtc(utc: Date): string | undefined {
  const date = formatDate(utc);
  return date === undefined ? undefined : `${date}T${formatTimeOfDay(utc)}`;
}

/**
 * `2024-11-25`, undefined outside the years 1 to 9999 and for an invalid date. By hand, like the time of day:
 * toISOString would take 29 µs more for a list of 50 entries, a third of what sanitising it takes.
 */
function formatDate(time: Date): string | undefined {
  const year = time.getUTCFullYear();
  // Also false for the NaN of an invalid date.
  if (!(year >= MIN_YEAR && year <= MAX_YEAR)) return undefined;
  const century = twoDigits(Math.floor(year / 100));
  return `${century}${twoDigits(year % 100)}-${twoDigits(time.getUTCMonth() + 1)}-${twoDigits(time.getUTCDate())}`;
}

/** `06:32:34`. */
function formatTimeOfDay(time: Date): string {
  return `${twoDigits(time.getUTCHours())}:${twoDigits(time.getUTCMinutes())}:${twoDigits(time.getUTCSeconds())}`;
}
