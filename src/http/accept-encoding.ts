import { parseAccept } from 'hono/utils/accept';
import { CONTENT_CODINGS, type ContentCoding } from '../cache/encoded-bodies.ts';

/** Callers send few different values, each with every request. */
const MAX_REMEMBERED = 100;
/** Longer ones are made up, and get the body as it is. */
const MAX_CHARACTERS = 256;

const remembered = new Map<string, ContentCoding | undefined>();

/**
 * The coding that the caller likes best of those there are, the denser one when it likes both as much (RFC 9110,
 * section 12.5.3). Undefined: the body as it is, which is never refused.
 *
 * @param acceptEncoding the header's value; null when absent
 */
export function preferredCoding(acceptEncoding: string | null): ContentCoding | undefined {
  if (acceptEncoding === null || acceptEncoding.length > MAX_CHARACTERS) return undefined;
  const known = remembered.get(acceptEncoding);
  if (known !== undefined || remembered.has(acceptEncoding)) return known;
  const coding = choose(acceptEncoding);
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(acceptEncoding, coding);
  return coding;
}

function choose(acceptEncoding: string): ContentCoding | undefined {
  const weights = new Map(parseAccept(acceptEncoding).map(({ type, q }) => [type.toLowerCase(), q]));
  const weightOf = (coding: string) => weights.get(coding) ?? weights.get('*') ?? 0;
  let best: ContentCoding | undefined;
  for (const coding of CONTENT_CODINGS)
    if (weightOf(coding) > (best === undefined ? 0 : weightOf(best))) best = coding;
  // `identity` wins only where it is asked for by name, above the others.
  return best !== undefined && weightOf(best) >= (weights.get('identity') ?? 0) ? best : undefined;
}
