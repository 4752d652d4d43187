const ENCODER = new TextEncoder();

/** The two lower-case hexadecimal digits of every byte. */
const HEX_OF_BYTE: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

/** UTF-8 bytes of a text. A lone surrogate becomes U+FFFD, as it does when `fetch` sends the text. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return ENCODER.encode(text);
}

/** Lower-case hexadecimal, two digits a byte. */
export function encodeHex(bytes: ArrayBuffer): string {
  let text = '';
  for (const byte of new Uint8Array(bytes)) text += HEX_OF_BYTE[byte];
  return text;
}

/** SHA-256 (FIPS 180-4) of bytes or of a text's UTF-8, as 64 lower-case hexadecimal digits. */
export async function hashSha256(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof data === 'string' ? encodeUtf8(data) : data;
  return encodeHex(await crypto.subtle.digest('SHA-256', bytes));
}
