import type { IncomingMessage } from 'node:http';
import { canonicalHost } from './canonical-host.ts';

/** The authority of a target in absolute form (RFC 9112, section 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]*)/;

/**
 * Checks what a request's URL is made from, before anything is made from it: Host and the target, by one grammar for all
 * routes and ways. It writes the canonical host into `headers.host`; `rawHeaders` keep what was sent, which may be signed.
 *
 * @returns what is not valid, for the caller; undefined where all is
 */
export function checkTarget({ headers, httpVersionMinor, url = '' }: IncomingMessage): string | undefined {
  // Health checks of HTTP/1.0 send an empty Host as well as none.
  if (headers.host === '' && httpVersionMinor === 0) delete headers.host;
  const { host } = headers;
  if (host === undefined) {
    // RFC 9112, section 3.2: every request of HTTP/1.1 has one.
    if (httpVersionMinor > 0) return 'the Host header is missing';
  } else {
    const canonical = canonicalHost(host);
    if (canonical === undefined) return 'the Host header is not valid';
    headers.host = canonical;
  }
  return isTarget(url) ? undefined : 'the request target is not valid';
}

function isTarget(url: string): boolean {
  // In a path the URL standard takes it for a slash, and RFC 3986 for nothing.
  const backslashAt = url.indexOf('\\');
  if (backslashAt !== -1 && !url.slice(0, backslashAt).includes('?')) return false;
  if (url.startsWith('/')) return true;
  const authority = ABSOLUTE.exec(url)?.[1];
  return authority !== undefined && canonicalHost(authority) !== undefined;
}
