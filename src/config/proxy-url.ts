/** Proxies for calls that leave the service, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY name them. */
import * as z from 'zod/mini';

export const PROXY_URL_RULE =
  'a host with a port, or an http or https URL with neither path nor query; user name and password are percent-encoded';
export const NO_PROXY_RULE =
  "names, addresses or networks in CIDR form, comma-separated, names and addresses with or without a port; or '*' for all";

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;
/** What stands for a URL: a number alone would be one of an address. */
const WITHOUT_SCHEME =
  /^(?:[^@\s]*@)?(?:(?:[A-Za-z0-9_-]+\.)*[A-Za-z_][A-Za-z0-9_-]*|\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]+\])(?::\d+)?\/?$/;

/**
 * Reads the URL of a proxy. Without a scheme it is http, as curl and Go read it.
 *
 * @returns undefined when it is none: another scheme, a path, or a user name or password that cannot be decoded
 */
export function parseProxyUrl(text: string): string | undefined {
  const hasScheme = SCHEME.test(text);
  if (!hasScheme && !WITHOUT_SCHEME.test(text)) return undefined;
  const withScheme = hasScheme ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) return undefined;
  const { protocol, pathname, search, hash, username, password, href } = new URL(withScheme);
  if (!/^https?:$/.test(protocol) || pathname !== '/' || search !== '' || hash !== '') return undefined;
  try {
    // The user name of Basic authentication ends at the first colon (RFC 7617, section 2).
    if (decodeURIComponent(username).includes(':')) return undefined;
    decodeURIComponent(password);
  } catch {
    return undefined;
  }
  return href;
}

const network = z.union([z.cidrv4(), z.cidrv6()]);
const ipv6 = z.ipv6();
const NAME_OR_IPV4 = /^(?:\*?\.)?[A-Za-z0-9_][A-Za-z0-9._-]{0,252}(?::\d{1,5})?$/;
const BRACKETED = /^\[([^\]]*)\](?::\d{1,5})?$/;

/** The items of NO_PROXY, separated by commas or white space; undefined when one of them is of no known form. */
export function parseNoProxy(text: string): readonly string[] | undefined {
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  return items.every(isNoProxyItem) ? items : undefined;
}

function isNoProxyItem(item: string): boolean {
  if (item === '*' || NAME_OR_IPV4.test(item)) return true;
  return ipv6.safeParse(BRACKETED.exec(item)?.[1] ?? item).success || network.safeParse(item).success;
}
