import { type Credential, keyIdOf } from '../signing/credential.ts';
import { hashSha256 } from '../signing/sha256.ts';

/** All instances on one store count together, whichever region and project they ask: the vendor locks the key for all. */
const PREFIX = 'imagecaches-bff:key:1:';
/** Digits of a digest: 128 bits. */
const DIGITS = 32;

/** How a credential is called in a store, which is told neither a key nor a token. */
export interface KeyName {
  /** Of what the vendor counts rejections by: the same for all secrets of an access key id. */
  readonly name: string;
  /** Of the credential among those of that id. */
  readonly digest: string;
}

/** Values, and never a promise that another request would wait for. */
const named = new WeakMap<Credential, KeyName>();

/** The name of a credential, the same on every instance. */
export async function nameKey(credential: Credential): Promise<KeyName> {
  const known = named.get(credential);
  if (known !== undefined) return known;
  const digestOf = async (text: string) => (await hashSha256(text)).slice(0, DIGITS);
  const name = {
    name: PREFIX + (await digestOf(keyIdOf(credential))),
    digest: await digestOf(JSON.stringify([credential.secretAccessKey, credential.securityToken])),
  };
  named.set(credential, name);
  return name;
}
