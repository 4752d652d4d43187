/**
 * Does the caller hold this representation already? The weak comparison that If-None-Match asks for
 * (RFC 9110, sections 8.8.3.2 and 13.1.2).
 *
 * @param ifNoneMatch the header's value; null when absent
 * @param etag the strong entity tag of the representation, with its quotes
 */
export function matchesEtag(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false;
  if (ifNoneMatch.trim() === '*') return true;
  // Entity tags may hold commas, so the list is scanned for quoted strings and not split.
  return ifNoneMatch.match(/(?:W\/)?"[^"]*"/g)?.some((tag) => tag.replace(/^W\//, '') === etag) ?? false;
}
