const WEAK_PREFIX = 'W/';
/** An opaque tag: no space and no quote within, text above ASCII allowed (RFC 9110, section 8.8.3). */
const OPAQUE_TAG = /"[\x21\x23-\x7e\x80-\uffff]*"/y;

/**
 * Does the caller hold this representation already? The weak comparison that If-None-Match asks for
 * (RFC 9110, sections 8.8.3.2 and 13.1.2). A value that is neither `*` nor a list of entity tags matches nothing, so that
 * the caller gets the representation. Each character is looked at a fixed number of times.
 *
 * @param ifNoneMatch the header's value; null when absent
 * @param etag the strong entity tag of the representation, with its quotes
 */
export function matchesEtag(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false;
  if (ifNoneMatch === etag) return true;
  let at = skipSpace(ifNoneMatch, 0);
  if (ifNoneMatch[at] === '*') return skipSpace(ifNoneMatch, at + 1) === ifNoneMatch.length;
  let isMatch = false;
  // Entity tags may hold commas, so the list is read tag by tag and not split. Elements may be empty (section 5.6.1.2).
  while (at < ifNoneMatch.length) {
    if (ifNoneMatch[at] !== ',') {
      if (ifNoneMatch.startsWith(WEAK_PREFIX, at)) at += WEAK_PREFIX.length;
      OPAQUE_TAG.lastIndex = at;
      const tag = OPAQUE_TAG.exec(ifNoneMatch)?.[0];
      if (tag === undefined) return false;
      if (tag === etag) isMatch = true;
      at = skipSpace(ifNoneMatch, at + tag.length);
      if (at === ifNoneMatch.length) break;
      if (ifNoneMatch[at] !== ',') return false;
    }
    at = skipSpace(ifNoneMatch, at + 1);
  }
  return isMatch;
}

/** The index of the next character that is no optional whitespace (RFC 9110, section 5.6.3). */
function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at += 1;
  return at;
}
