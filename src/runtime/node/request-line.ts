import type { RequestFields } from '../../deps.ts';

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

  let outcome: Made | undefined;
  /** How it went. A caller may ask for another name each time: that makes this part anew, and no other. */
  function outcomeOf(fields: RequestFields): string {
    const { access, name, cache } = fields;
    if (
      outcome !== undefined &&
      outcome.of.access === access &&
      outcome.of.name === name &&
      outcome.of.cache === cache
    )
      return outcome.text;
    const text = member('access', access) + member('name', name) + member('cache', cache);
    outcome = { of: fields, text };
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

  // The id has no character that JSON would escape.
  return (level, fields) =>
    startOf(level) + fields.requestId + middleOf(fields) + fields.ms + outcomeOf(fields) + endOf(fields);
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}
