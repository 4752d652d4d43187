import { UpstreamError, type UpstreamErrorReason } from '../vendor/upstream-error.ts';

/**
 * More than this is not the list. The vendor allows a tenant 50, and 8 MiB, the largest body that is read,
 * cannot hold that many valid entries; it bounds the work that a body of `0,0,0` can cause.
 */
const MAX_ENTRIES = 100_000;

/** Leaves a byte order mark out. */
const UTF_8 = new TextDecoder('utf-8', { fatal: true });

/** Members of the vendor's error bodies (gateway, CCE, IAM). A list that has one of them is not an empty list. */
const ERROR_MEMBERS = [
  'error_code',
  'error_msg',
  'errorCode',
  'errorMessage',
  'error',
  'encoded_authorization_message',
] as const;

/**
 * Reads a 200 body of ListImageCaches down to its entries, which may still be anything: sanitise.ts looks into
 * them. `image_caches` absent or null is an empty list (the vendor's Go model marks it optional), unless the
 * object is one of the vendor's error bodies under a status of 200. A byte order mark is ignored (RFC 8259,
 * section 8.1).
 *
 * @param bytes the whole body, decoded from any content coding
 * @throws UpstreamError `upstream_failed` with the reason `invalid_utf8`, `invalid_json` or `not_the_model`,
 *   and nothing of the body
 */
export function parseImageCaches(bytes: Uint8Array): unknown[] {
  return parseText(decodeUtf8(bytes));
}

/**
 * The first half of parseImageCaches: the body as text. Bodies with the same text have the same entries.
 *
 * @throws UpstreamError `upstream_failed` with the reason `invalid_utf8`
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw fault('invalid_utf8');
  }
}

/** The second half. */
export function parseText(text: string): unknown[] {
  const body = parseJson(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw fault('not_the_model');

  const members = body as Readonly<Record<string, unknown>>;
  const entries = members.image_caches ?? null;
  if (entries === null) {
    if (looksLikeAnError(members)) throw fault('not_the_model');
    return [];
  }
  if (!Array.isArray(entries) || entries.length > MAX_ENTRIES) throw fault('not_the_model');
  return entries;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A SyntaxError quotes the body; a RangeError means too deep for the engine. Neither is passed on.
    throw fault('invalid_json');
  }
}

function looksLikeAnError(members: Readonly<Record<string, unknown>>): boolean {
  return members.kind === 'Status' || ERROR_MEMBERS.some((member) => (members[member] ?? null) !== null);
}

function fault(reason: UpstreamErrorReason): UpstreamError {
  return new UpstreamError('upstream_failed', { reason });
}
