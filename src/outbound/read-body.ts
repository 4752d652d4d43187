import type { FetchedResponse } from '../platform/fetch.ts';

/** Maximum number of content codings of a body: 5. One is usual; each costs a decoder before a byte is read. */
export const MAX_CODINGS = 5;

/** Thrown when a body is longer than it may be, or in too many codings to be read. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/**
 * Reads a body, after any content coding, and stops as soon as it is too long, so that neither a flood nor a
 * decompression bomb is held in memory.
 *
 * @param maxBytes the most that is read
 * @throws BodyTooLargeError, or whatever the stream fails with
 */
export async function readBody(response: FetchedResponse, maxBytes: number): Promise<Uint8Array> {
  const { headers } = response;
  if (response.body === null) return new Uint8Array(0);
  const codings = headers.get('content-encoding')?.split(',') ?? [];
  if (response.arrayBuffer && codings.length === 0 && endsWithin(headers, maxBytes))
    return new Uint8Array(await response.arrayBuffer());
  if (codings.length > MAX_CODINGS) {
    response.body.cancel().catch(() => undefined);
    throw new BodyTooLargeError();
  }
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    length += value.byteLength;
    if (length > maxBytes) {
      // Not awaited: the other end may not care to hear it.
      reader.cancel().catch(() => undefined);
      throw new BodyTooLargeError();
    }
    chunks.push(value);
  }
  if (chunks.length === 1) return chunks[0] as Uint8Array;
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}

/** By its framing no more than so many bytes come (RFC 9112, section 6.3): Transfer-Encoding overrides Content-Length. */
function endsWithin(headers: FetchedResponse['headers'], maxBytes: number): boolean {
  const length = headers.get('content-length');
  return length !== null && Number(length) <= maxBytes && headers.get('transfer-encoding') === null;
}
