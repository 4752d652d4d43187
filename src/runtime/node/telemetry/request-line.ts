import type { RequestFields } from '../../../observability/logger.ts';

/** Callers and lists are few; what is remembered of more than so many is forgotten together. */
const MAX_REMEMBERED = 1000;

/** A part of a line, and what it was made of. */
interface Made {
  readonly of: RequestFields;
  readonly text: string;
}

/**
 * The line of a request as pino writes it: the same members in the same order, to the byte. Most requests of a caller
 * differ in their time, id and duration only, so that the rest is kept as text: the shorter the list of pieces that a line is
 * joined from, the less there is to join again when lines are written.
 *
 * @param timestamp the member `time` with a comma before it
 */
export function createRequestRenderer(
  timestamp: () => string,
): (level: string, fields: RequestFields) => string {
  let lastLevel = '';
  let lastTime = '';
  let start = '';
  function startOf(level: string): string {
    const time = timestamp();
    if (time !== lastTime || level !== lastLevel) {
      start = `{"level":"${level}"${time},"requestId":"`;
      lastLevel = level;
      lastTime = time;
    }
    return start;
  }

  let middle: Made | undefined;
  /** From the id to the duration: what was asked for, and the status. */
  function middleOf(fields: RequestFields): string {
    const { method, route, status } = fields;
    if (middle?.of.method === method && middle.of.route === route && middle.of.status === status)
      return middle.text;
    const text = `","method":${JSON.stringify(method)},"route":${JSON.stringify(route)},"status":${status},"ms":`;
    middle = { of: fields, text };
    return text;
  }

  const ends = new Map<string | undefined, Made>();
  /** Who asked, and why it was refused. */
  function endOf(fields: RequestFields): string {
    const { subject, issuer, code, reason } = fields;
    const known = ends.get(subject);
    if (
      known !== undefined &&
      known.of.issuer === issuer &&
      known.of.code === code &&
      known.of.reason === reason
    )
      return known.text;
    const text = `${member('subject', subject)}${member('issuer', issuer)}${member('code', code)}${member('reason', reason)},"msg":"request"}\n`;
    if (ends.size >= MAX_REMEMBERED) ends.clear();
    ends.set(subject, { of: fields, text });
    return text;
  }

  let last: Made | undefined;
  let isFlat = false;
  /** All behind the id. Where requests repeat, as hits of one caller do, it is that of the line before. */
  function restOf(fields: RequestFields): string {
    if (last !== undefined && isSameButForId(last.of, fields)) {
      if (isFlat) return last.text;
      // In one piece, which is copied faster than the pieces it was joined from.
      last = { of: fields, text: Buffer.from(last.text).toString() };
      isFlat = true;
      return last.text;
    }
    const { ms, access, name, cache } = fields;
    const outcome = member('access', access) + member('name', name) + member('cache', cache);
    last = { of: fields, text: middleOf(fields) + ms + outcome + endOf(fields) };
    isFlat = false;
    return last.text;
  }

  // The id has no character that JSON would escape.
  return (level, fields) => startOf(level) + fields.requestId + restOf(fields);
}

function isSameButForId(a: RequestFields, b: RequestFields): boolean {
  return (
    a.ms === b.ms &&
    a.name === b.name &&
    a.subject === b.subject &&
    a.cache === b.cache &&
    a.status === b.status &&
    a.method === b.method &&
    a.route === b.route &&
    a.access === b.access &&
    a.issuer === b.issuer &&
    a.code === b.code &&
    a.reason === b.reason
  );
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}
