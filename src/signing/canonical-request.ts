import { hashSha256 } from './sha256.ts';

/** The payload hash of an empty body: SHA-256 of nothing. */
export const EMPTY_PAYLOAD_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** The characters that stay as they are (RFC 3986, section 2.3), and for a path the slash between segments. */
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const UNRESERVED_OR_SLASH = /^[A-Za-z0-9\-._~/]*$/;
/** What encodeURIComponent leaves but RFC 3986 reserves. */
const LEFT_BY_ENCODE_URI_COMPONENT = /[!'()*]/g;
/** In a path: an escape, a `%` that begins none, or a run of characters that must be escaped. */
const NOT_CANONICAL_IN_PATH = /%[0-9A-Fa-f]{2}|%|[^%A-Za-z0-9\-._~/]+/g;
const QUERY_OR_FRAGMENT = /[?#]/;
const METHOD = /^[A-Z]+$/;
/** A token (RFC 9110, section 5.6.2). */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Visible ASCII, space and tab: beyond it (RFC 9110, section 5.5) no two senders agree on the bytes. */
const HEADER_VALUE = /^[\t -~]*$/;

/** One header or query parameter. */
export type NameValuePair = readonly [name: string, value: string];

/** The six parts of a canonical request, in its order. */
export interface CanonicalRequestParts {
  /** Upper-case letters. */
  readonly method: string;
  readonly canonicalUri: string;
  readonly canonicalQueryString: string;
  /** A line for each header, each with its line end. */
  readonly canonicalHeaders: string;
  /** The names of the same headers, joined by `;`. */
  readonly signedHeaders: string;
  /** 64 lower-case hexadecimal digits, or what X-Sdk-Content-Sha256 says in their place. */
  readonly payloadHash: string;
}

/** Headers in the form in which they are signed. */
export interface CanonicalHeaders {
  readonly canonicalHeaders: string;
  readonly signedHeaders: string;
  /** The same headers one by one, lower-case name and trimmed value, sorted by name: send these. */
  readonly pairs: readonly NameValuePair[];
}

/**
 * Percent-encodes a text: UTF-8, upper-case hexadecimal, all but the unreserved characters, so a space is
 * `%20` (RFC 3986, sections 2.1 and 2.3).
 *
 * @throws TypeError when the text holds a lone surrogate, which has no UTF-8
 */
export function encodeRfc3986(text: string): string {
  if (UNRESERVED.test(text)) return text;
  if (!text.isWellFormed()) throw new TypeError('cannot sign a text with a lone surrogate');
  return encodeURIComponent(text).replace(LEFT_BY_ENCODE_URI_COMPONENT, encodeAsciiCharacter);
}

/**
 * The canonical URI of a path as it goes on the wire, for example `URL#pathname`. The rule is to decode once
 * and encode once: an escape stands for its byte, any other character for its UTF-8, a slash parts segments
 * (`%2F` does not), and each byte is encoded again by {@link encodeRfc3986}'s rule. So `:` and `%3a` both give
 * `%3A`, and a canonical URI is its own canonical URI. A slash is added at the end where there is none; the
 * request itself goes out without it. Dot segments are left alone: `URL` has resolved them.
 * (Vendor's signing guide, api-sign-algorithm-002. Its Node SDK encodes escapes a second time.)
 *
 * @throws TypeError when the path is not empty and begins with no slash, holds a query or fragment, a `%`
 *   that begins no escape, or a lone surrogate
 */
export function buildCanonicalUri(path: string): string {
  if (path !== '' && path[0] !== '/') throw new TypeError('cannot sign a path that begins with no slash');
  const canonical = UNRESERVED_OR_SLASH.test(path) ? path : normaliseEscapes(path);
  return canonical.endsWith('/') ? canonical : `${canonical}/`;
}

/**
 * The canonical query string of decoded pairs: sorted by name and then by value, in the order of code points
 * before encoding, and joined as `name=value`, also where the value is empty. It is a query that may be sent
 * as it is. (Vendor's signing guide, api-sign-algorithm-002; canonicalQueryString in the Go SDK's signer.go.)
 *
 * @param pairs in any order, names may repeat; not changed
 * @throws TypeError when a name or value holds a lone surrogate
 */
export function buildCanonicalQueryString(pairs: readonly NameValuePair[]): string {
  if (pairs.length === 0) return '';
  const sorted = pairs.length === 1 ? pairs : pairs.toSorted(comparePairs);
  return sorted.map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`).join('&');
}

/**
 * Headers as they are signed: lower-case name, `:`, trimmed value, line end, sorted by name. Every header
 * given is signed. (Vendor's signing guide, api-sign-algorithm-002; values are trimmed as in the Go SDK.)
 *
 * @param headers in any order; not changed
 * @throws TypeError when a name is no token, a value is not printable ASCII, or a name is given twice in
 *   whatever case. The message never holds a value
 */
export function buildCanonicalHeaders(headers: Iterable<NameValuePair>): CanonicalHeaders {
  const pairs: NameValuePair[] = [];
  for (const [name, value] of headers) pairs.push(normaliseHeader(name, value));
  return joinHeaders(pairs);
}

/**
 * A header as it is signed: lower-case name, trimmed value.
 *
 * @throws TypeError when the name is no token or the value is not printable ASCII
 */
export function normaliseHeader(name: string, value: string): NameValuePair {
  if (!HEADER_NAME.test(name)) throw new TypeError('cannot sign a header whose name is no token');
  if (!HEADER_VALUE.test(value))
    throw new TypeError(`cannot sign the header ${name}: its value is not printable ASCII`);
  return [name.toLowerCase(), value.trim()];
}

/**
 * The second half of {@link buildCanonicalHeaders}.
 *
 * @param pairs from {@link normaliseHeader}, in any order; sorted in place
 * @throws TypeError when a name is given twice
 */
export function joinHeaders(pairs: NameValuePair[]): CanonicalHeaders {
  // Names are ASCII by now, so code units are code points. Most come in order, and to find that out costs less.
  if (!isSortedByName(pairs)) pairs.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));

  let canonicalHeaders = '';
  let signedHeaders = '';
  let previousName = '';
  for (const [name, value] of pairs) {
    if (name === previousName) throw new TypeError(`cannot sign the header ${name} twice`);
    canonicalHeaders += `${name}:${value}\n`;
    signedHeaders += signedHeaders === '' ? name : `;${name}`;
    previousName = name;
  }
  return { canonicalHeaders, signedHeaders, pairs };
}

/**
 * The payload hash: SHA-256 of the exact bytes of the body, a text being its UTF-8.
 *
 * @param body undefined, an empty text and no bytes are the same
 * @returns a promise only where there is something to hash
 */
export function hashPayload(body?: string | Uint8Array<ArrayBuffer>): string | Promise<string> {
  return body === undefined || body.length === 0 ? EMPTY_PAYLOAD_HASH : hashSha256(body);
}

/**
 * Joins the six parts by line ends. As the canonical headers bring their own, an empty line comes before the
 * signed header names. (Vendor's signing guide, api-sign-algorithm-002.)
 *
 * @throws TypeError when the method is not in upper-case letters: `fetch` sends some others as they are and
 *   changes some
 */
export function buildCanonicalRequest(parts: CanonicalRequestParts): string {
  if (!METHOD.test(parts.method)) throw new TypeError('cannot sign a method not in upper-case letters');
  return `${parts.method}\n${parts.canonicalUri}\n${parts.canonicalQueryString}\n${parts.canonicalHeaders}\n${parts.signedHeaders}\n${parts.payloadHash}`;
}

/** Compares by Unicode code points, which is also the order of the texts' UTF-8. */
function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const unitOfA = a.charCodeAt(index);
    const unitOfB = b.charCodeAt(index);
    if (unitOfA !== unitOfB) return rankCodeUnit(unitOfA) - rankCodeUnit(unitOfB);
  }
  return a.length - b.length;
}

/** Puts surrogates, which stand for U+10000 and up, above U+E000 to U+FFFF. */
function rankCodeUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function comparePairs(a: NameValuePair, b: NameValuePair): number {
  return compareCodePoints(a[0], b[0]) || compareCodePoints(a[1], b[1]);
}

function normaliseEscapes(path: string): string {
  if (QUERY_OR_FRAGMENT.test(path)) throw new TypeError('cannot sign a path with a query or fragment');
  return path.replace(NOT_CANONICAL_IN_PATH, (piece) => {
    if (piece[0] !== '%') return encodeRfc3986(piece);
    if (piece === '%') throw new TypeError('cannot sign a path with a % that begins no escape');
    const character = String.fromCharCode(Number.parseInt(piece.slice(1), 16));
    return UNRESERVED.test(character) ? character : piece.toUpperCase();
  });
}

function isSortedByName(pairs: readonly NameValuePair[]): boolean {
  for (let index = 1; index < pairs.length; index += 1) {
    if ((pairs[index - 1] as NameValuePair)[0] > (pairs[index] as NameValuePair)[0]) return false;
  }
  return true;
}

function encodeAsciiCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
