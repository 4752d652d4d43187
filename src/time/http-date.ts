import { utcEpochMs } from './utc.ts';

/** The longest wait that is believed: 1 hour. */
export const MAX_RETRY_AFTER_SECONDS = 3600;

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const IMF_FIXDATE =
  /^(?<weekday>[A-Z][a-z]{2}), (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) GMT$/;

/**
 * Reads a date of HTTP in its one current form, IMF-fixdate (RFC 9110, section 5.6.7), such as
 * `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms, a date that does not exist, second 60 and a weekday
 * that is not the date's are refused. Never throws.
 *
 * @returns milliseconds since 1970, or undefined
 */
export function parseHttpDate(text: string): number | undefined {
  const parts = IMF_FIXDATE.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const epochMs = utcEpochMs({
    year: Number(parts.year),
    // 0 when it is no month, which utcEpochMs refuses.
    month: MONTHS.indexOf(parts.month as string) + 1,
    day: Number(parts.day),
    hour: Number(parts.hour),
    minute: Number(parts.minute),
    second: Number(parts.second),
  });
  if (epochMs === undefined) return undefined;
  return WEEKDAYS[new Date(epochMs).getUTCDay()] === parts.weekday ? epochMs : undefined;
}

/**
 * Reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date in IMF-fixdate. A date that has passed is 0.
 *
 * @param value the header's value, null when it is absent
 * @param nowMs our clock in milliseconds since 1970
 * @returns whole seconds from 0 to 3600, rounded up; undefined when absent or neither form
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const dateMs = parseHttpDate(value);
  const seconds = /^\d+$/.test(value) ? Number(value) : dateMs === undefined ? NaN : (dateMs - nowMs) / 1000;
  if (Number.isNaN(seconds)) return undefined;
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(0, Math.ceil(seconds)));
}
