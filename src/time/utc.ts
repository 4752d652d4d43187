/** The parts of a UTC date and time, whole numbers of at most two digits but for the year; months from 1. */
export interface UtcDateParts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/**
 * Milliseconds since 1970 of a date and time in UTC (proleptic Gregorian calendar, no leap seconds).
 *
 * @returns undefined when a part is out of its range, such as 30 February, hour 24 or second 60
 */
export function utcEpochMs({ year, month, day, hour, minute, second }: UtcDateParts): number | undefined {
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  // Not Date.UTC: it takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day);
  // A day or a month that does not exist rolls over into another month.
  if (date.getUTCMonth() !== month - 1) return undefined;
  return date.setUTCHours(hour, minute, second);
}

/**
 * The same for the named groups of a regular expression, which are digits: `year`, `month`, `day`, `hour`, `minute`
 * and `second`. Undefined too when one is missing.
 */
export function utcEpochMsOfDigits(groups: Readonly<Record<string, string | undefined>>): number | undefined {
  const epochMs = utcEpochMs({
    year: Number(groups.year),
    month: Number(groups.month),
    day: Number(groups.day),
    hour: Number(groups.hour),
    minute: Number(groups.minute),
    second: Number(groups.second),
  });
  return Number.isNaN(epochMs) ? undefined : epochMs;
}

/**
 * The whole number that the digits of a part of a text are. By hand: for a text that V8 has not met, Number() takes several
 * times as long.
 */
export function readDigits(text: string, start: number, end: number): number {
  let number = 0;
  for (let at = start; at < end; at += 1) number = number * 10 + text.charCodeAt(at) - 0x30;
  return number;
}

/** A whole number from 0 to 99, as dates and times write their parts. */
export function twoDigits(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
