/** A name of letters, digits, `-` and `_`, or IPv4, or IPv6 in brackets; then a port (RFC 9110, section 7.2). */
const HOST =
  /^(?=.{1,261}$)(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;
/** Hosts that are remembered, so that a URL is not parsed for each request: those of one service are few. */
const MAX_KNOWN_HOSTS = 1000;

const known = new Map<string, string>();

/**
 * The host and port of a request in the spelling of the URL standard, which leaves out port 80.
 *
 * @param host the value of Host, or the authority of a target in absolute form
 * @returns undefined for text that is no host, such as two hosts, `1.2.3.4.5` or a port above 65535
 */
export function canonicalHost(host: string): string | undefined {
  const found = known.get(host);
  if (found !== undefined) return found;
  // What looks like IPv4 and is none, and a bad punycode label, are told by the parser only.
  if (!HOST.test(host) || !URL.canParse(`http://${host}`)) return undefined;
  const canonical = new URL(`http://${host}`).host;
  if (known.size >= MAX_KNOWN_HOSTS) known.clear();
  known.set(host, canonical);
  return canonical;
}
