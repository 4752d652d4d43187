import type { RequestFields } from '../../deps.ts';

/** Subjects, issuers and words of ours are few; more than so many are forgotten together. */
const MAX_QUOTED = 1000;

/**
 * The line of a request as pino writes it: the same members in the same order, to the byte.
 *
 * @param timestamp the member `time` with a comma before it
 */
export function createRequestRenderer(
  timestamp: () => string,
): (level: string, fields: RequestFields) => string {
  const quoted = new Map<string, string>();
  function quote(text: string): string {
    let json = quoted.get(text);
    if (json === undefined) {
      json = JSON.stringify(text);
      if (quoted.size >= MAX_QUOTED) quoted.clear();
      quoted.set(text, json);
    }
    return json;
  }
  const member = (name: string, value: string | undefined) =>
    value === undefined ? '' : `,"${name}":${quote(value)}`;

  return (
    level,
    { requestId, method, route, status, ms, access, name, cache, subject, issuer, code, reason },
  ) =>
    // The id has no character that JSON would escape.
    `{"level":"${level}"${timestamp()},"requestId":"${requestId}","method":${quote(method)},"route":${quote(route)},"status":${status},"ms":${ms}${member('access', access)}${name === undefined ? '' : `,"name":${JSON.stringify(name)}`}${member('cache', cache)}${member('subject', subject)}${member('issuer', issuer)}${member('code', code)}${member('reason', reason)},"msg":"request"}\n`;
}
