/** Elements that are looked at, from the right: 32. */
const MAX_HOPS = 32;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** Proxies leave out the quotation marks that RFC 7239 asks for around `:` and brackets. */
const PLAIN_VALUE = '[^",;\\s\\\\]*';
const QUOTED_VALUE = '"(?:[^"\\\\]|\\\\.)*"';
const VALUE = `(?:${QUOTED_VALUE}|${PLAIN_VALUE})`;
const PAIR = `${TOKEN}=${VALUE}`;
/** An element of Forwarded (RFC 7239, section 4). */
const ELEMENT = new RegExp(`^[ \\t]*${PAIR}(?:[ \\t]*;[ \\t]*(?:${PAIR})?)*[ \\t]*$`);
const PAIRS = new RegExp(`(?<name>${TOKEN})=(?<value>${VALUE})`, 'g');

/** The elements of X-Forwarded-For, the nearest hop first. Empty ones are none (RFC 9110, section 5.6.1). */
export function hopsOfForwardedFor(header: string): string[] {
  return lastElements(header, () => true);
}

/** The `for` of each element of Forwarded, the nearest hop first; empty where an element has none. */
export function hopsOfForwarded(header: string): string[] {
  return lastElements(header, (element) => ELEMENT.test(element)).map((element) =>
    unquote(pairValue(element, 'for')),
  );
}

/** The value of the first pair of that name; empty where there is none. */
function pairValue(element: string, wanted: string): string {
  // Pair by pair: a quoted value may hold what looks like one.
  for (const { groups } of element.matchAll(PAIRS))
    if (groups?.name?.toLowerCase() === wanted) return groups.value ?? '';
  return '';
}

/**
 * The elements of a list, from the right: the proxies that are trusted write there. Each is the shortest that is well
 * formed, so that a quotation mark that a client left open swallows nothing of what a proxy adds. Left of one that is not
 * well formed nothing is read.
 */
function lastElements(header: string, isWellFormed: (element: string) => boolean): string[] {
  const found: string[] = [];
  const parts = header.split(',').slice(-MAX_HOPS);
  let element: string | undefined;
  for (const part of parts.reverse()) {
    element = element === undefined ? part : `${part},${element}`;
    if (element.trim() === '') element = undefined;
    else if (isWellFormed(element)) {
      found.push(element.trim());
      element = undefined;
    }
  }
  return found;
}

function unquote(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
}
