const ENCODER = new TextEncoder();

/**
 * An answer that says its length, so that HEAD has the headers of GET: Hono drops the body of HEAD, and with it what a
 * server could count.
 */
export function answer(
  status: number,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>>,
): Response {
  const bytes = typeof body === 'string' ? ENCODER.encode(body) : body;
  return new Response(bytes, {
    status,
    headers: { ...headers, 'content-length': String(bytes.byteLength) },
  });
}

/** The same for a value as JSON. */
export function jsonAnswer(
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return answer(status, JSON.stringify(value), { 'content-type': 'application/json', ...headers });
}
