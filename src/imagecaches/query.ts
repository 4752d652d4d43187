import { ProblemError } from '../http/problem.ts';

/**
 * The vendor's grammar for a name (ListImageCaches, query parameter `name`): a lower-case letter, then
 * lower-case letters, digits and `-`, no `-` at the end, 1 to 128 characters.
 */
export const IMAGE_CACHE_NAME = /^[a-z](?:[a-z0-9-]{0,126}[a-z0-9])?$/;

/** Said to the caller, so that the rule is learnt from the first refusal. */
const NAME_RULE =
  "must be 1 to 128 characters: lower-case letters, digits and '-', a letter first, no '-' at the end";

const MAX_ECHO_CHARACTERS = 64;

export interface ImageCachesQuery {
  /** Exact name to look for; undefined asks for the whole list. */
  readonly name: string | undefined;
}

const EVERYTHING: ImageCachesQuery = Object.freeze({ name: undefined });

/**
 * Validates the query of `/imagecaches`. Equal requests give equal results whatever their spelling, so
 * `?name=a` and `?name=%61` share one cache entry.
 *
 * @param url the request's URL as text, or its path and query
 * @throws ProblemError `invalid_query`, naming the parameter and the rule
 */
export function parseImageCachesQuery(url: string): ImageCachesQuery {
  // No fragment is part of it, even one that holds a '?'.
  const [, search] = /^[^?#]*\?([^#]*)/.exec(url) ?? [];
  if (search === undefined) return EVERYTHING;

  let name: string | undefined;
  // URLSearchParams leaves a broken escape as it is and turns bad UTF-8 into U+FFFD: neither is in the grammar.
  for (const [parameter, value] of new URLSearchParams(search)) {
    if (parameter !== 'name')
      throw invalidQuery(`unknown parameter '${echo(parameter)}'; only 'name' is allowed`);
    if (name !== undefined) throw invalidQuery("parameter 'name' may be given only once");
    if (value === '') throw invalidQuery(`parameter 'name' is empty; it ${NAME_RULE}`);
    if (!IMAGE_CACHE_NAME.test(value))
      throw invalidQuery(`parameter 'name' is '${echo(value)}'; it ${NAME_RULE}`);
    name = value;
  }
  return name === undefined ? EVERYTHING : { name };
}

/**
 * For a path that has no parameters.
 *
 * @throws ProblemError `invalid_query`
 */
export function denyQuery(url: string): void {
  const [parameter] = new URL(url).searchParams.keys();
  if (parameter !== undefined)
    throw invalidQuery(`unknown parameter '${echo(parameter)}'; there is none at this path`);
}

function invalidQuery(detail: string): ProblemError {
  return new ProblemError('invalid_query', { detail });
}

/** At most 64 characters of what was sent, printable ASCII only: it may end up in a terminal or a page. */
function echo(text: string): string {
  const characters = Array.from(text.slice(0, 2 * MAX_ECHO_CHARACTERS + 2)).slice(0, MAX_ECHO_CHARACTERS);
  return characters.map((character) => (/^[ -~]$/.test(character) ? character : '?')).join('');
}

/** `no-cache` of a request (RFC 9111, section 5.2.1.4). */
export function asksForRefresh(cacheControl: string | null): boolean {
  return cacheControl !== null && /(?:^|,)\s*no-cache\s*(?:,|$)/i.test(cacheControl);
}

/** The plain spellings of a list's path and query, with the name in the vendor's grammar. */
const PLAIN_TARGET = /^((?:\/v5)?\/imagecaches)(?:\?name=([a-z](?:[a-z0-9-]{0,126}[a-z0-9])?))?$/;

const PLAIN_LIST: PlainTarget = Object.freeze({ route: '/imagecaches', name: undefined });

/** A request for a list, read without making a URL of it. */
export interface PlainTarget {
  /** The pattern of its route. */
  readonly route: string;
  readonly name: string | undefined;
}

/**
 * Reads the target of a request for a list where it is plainly spelled, as nearly all are.
 *
 * @param target path and query, as sent
 * @returns undefined for anything else, which may be a request for a list all the same
 */
export function readPlainTarget(target: string): PlainTarget | undefined {
  // Most ask for the whole list.
  if (target === PLAIN_LIST.route) return PLAIN_LIST;
  const [, route, name] = PLAIN_TARGET.exec(target) ?? [];
  return route === undefined ? undefined : { route, name };
}
