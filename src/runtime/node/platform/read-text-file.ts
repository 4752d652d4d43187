import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/**
 * Reads a text file: UTF-8, without the byte order mark that some editors write at its start. Every text file that an
 * operator or the platform provides is read here.
 *
 * @throws what node:fs throws
 */
export async function readTextFile(path: string): Promise<string> {
  return decode(await readFile(path));
}

/** The same, before anything else runs. */
export function readTextFileSync(path: string): string {
  return decode(readFileSync(path));
}

function decode(bytes: Uint8Array): string {
  // A TextDecoder drops the mark unless it is told to keep it (WHATWG Encoding, section 7.2).
  return new TextDecoder().decode(bytes);
}
