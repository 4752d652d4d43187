import { OutboundError } from '../outbound/outbound-error.ts';
import type { Platform } from '../platform/platform.ts';
import { TOKEN_FORM } from '../signing/credential.ts';

/**
 * Reads a token from a file whose content the platform replaces, as Kubernetes does with tokens of service accounts.
 *
 * @throws OutboundError `token_file_unreadable` or `token_file_invalid`
 */
export async function readTokenFile(
  path: string,
  { readTextFile }: Pick<Platform, 'readTextFile'>,
): Promise<string> {
  let text: string;
  try {
    text = await readTextFile(path);
  } catch (error) {
    throw new OutboundError('token_file_unreadable', { cause: error });
  }
  const token = text.trim();
  // fetch quotes a header that it does not accept in its message: it must never see one.
  if (!TOKEN_FORM.test(token)) throw new OutboundError('token_file_invalid');
  return token;
}
