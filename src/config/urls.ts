/** Which URLs a setting may name, and the rules in words. */

const LOOPBACK_HOSTS = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const LINK_LOCAL_HOSTS = /^(?:169\.254(?:\.\d{1,3}){2}|\[fe[89ab][0-9a-f]:[0-9a-f:]+\])$/;

/**
 * A name or an address. A URL takes quotes, `$` and more besides, which would end up in what is made of it: headers, and
 * lines for a shell.
 */
const HOST_FORM = /^(?:[\w.-]+|\[[\da-f:.]+\])$/;

export const SECURE_URL_RULE = 'an https URL, or http on loopback, without user name, password or fragment';
export const NODE_URL_RULE =
  'an https URL, or http on loopback or a link-local address, without user name, password or fragment';
export const PUBLIC_URL_RULE =
  "an https URL without user name, password, fragment or query, with letters, digits and '-._~' in its path";
export const HTTP_URL_RULE = 'an http or https URL without user name, password, fragment or query';

/** https anywhere, http on this machine only: keys and signatures must not cross a network in clear. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false;
  if (!HOST_FORM.test(url.hostname)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK_HOSTS.test(url.hostname));
}

/** The URL of this service. Routes are made of its path, so that has no sign that could mean something there. */
export function isPublicUrl(text: string): boolean {
  if (!isSecureUrl(text)) return false;
  const { protocol, pathname } = new URL(text);
  return protocol === 'https:' && /^[\w/.~-]+$/.test(pathname);
}

/** The same, and http to link-local addresses: they lead no further than the node. */
export function isSecureOnNode(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.protocol === 'http:' && LINK_LOCAL_HOSTS.test(url.hostname)) url.protocol = 'https:';
  return isSecureUrl(url.href);
}

/** http or https anywhere: traces hold no secret, and collectors inside a cluster speak http. */
export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.protocol === 'http:') url.protocol = 'https:';
  return isSecureUrl(url.href);
}

/** An origin exactly as browsers send it (RFC 6454, section 6.2), since it is compared as text. */
export function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}
