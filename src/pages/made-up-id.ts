import { hashSha256 } from '../signing/sha256.ts';

/** Ids of projects and domains have 32 hexadecimal digits (IAM, KeystoneListProjects). */
const DIGITS = 32;

/** An id in the vendor's form, always the same for the same text. It means nothing in the cloud. */
export async function madeUpId(text: string): Promise<string> {
  return (await hashSha256(`imagecaches-bff ${text}`)).slice(0, DIGITS);
}
