import type { ImageCache } from './model.ts';

/** A list as the bytes to send, from which the answers to name filters can be cut. */
export interface SerialisedList {
  /** UTF-8 JSON `{"image_caches":[…]}`. Equal lists give equal bytes, which the ETag rests on. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The bytes of the same list filtered by a name, exact match; undefined when none has it. */
  readonly select: (name: string) => Uint8Array<ArrayBuffer> | undefined;
  /** The bytes of the same list filtered by a name that none has. */
  readonly empty: Uint8Array<ArrayBuffer>;
}

const HEAD = '{"image_caches":[';
const TAIL = ']}';
const ENCODER = new TextEncoder();

interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Writes a list once and remembers where each entry stands, so that a filtered list costs no second copy of
 * the objects and no serialisation.
 */
export function serialiseImageCaches(imageCaches: readonly ImageCache[]): SerialisedList {
  const texts = imageCaches.map((imageCache) => JSON.stringify(imageCache));
  const text = `${HEAD}${texts.join(',')}${TAIL}`;
  const body = ENCODER.encode(text);
  // Most lists are ASCII throughout, where characters are bytes.
  const bytesOf =
    body.byteLength === text.length
      ? (entry: string) => entry.length
      : (entry: string) => ENCODER.encode(entry).byteLength;

  const spansByName = new Map<string, Span[]>();
  let start = HEAD.length;
  for (const [index, entry] of texts.entries()) {
    const { name } = imageCaches[index] as ImageCache;
    const spans = spansByName.get(name);
    const span = { start, end: start + bytesOf(entry) };
    if (spans === undefined) spansByName.set(name, [span]);
    else spans.push(span);
    // The comma after it.
    start = span.end + 1;
  }
  return {
    body,
    empty: ENCODER.encode(HEAD + TAIL),
    select: (name) => {
      const spans = spansByName.get(name);
      return spans === undefined
        ? undefined
        : joinEntries(spans.map((span) => body.subarray(span.start, span.end)));
    },
  };
}

/** @param entries one at least */
function joinEntries(entries: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const commas = entries.length - 1;
  const entryBytes = entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const body = new Uint8Array(HEAD.length + entryBytes + commas + TAIL.length);
  let offset = ENCODER.encodeInto(HEAD, body).written;
  for (const [index, entry] of entries.entries()) {
    if (index > 0) body[offset++] = 0x2c;
    body.set(entry, offset);
    offset += entry.byteLength;
  }
  ENCODER.encodeInto(TAIL, body.subarray(offset));
  return body;
}
