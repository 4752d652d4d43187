import type { CredentialProvider } from '../../../src/credentials/provider.ts';
import type { Platform } from '../../../src/platform/platform.ts';
import type { Credential } from '../../../src/signing/credential.ts';
import type { Digests } from '../../../src/signing/digests.ts';

export interface CredentialSource {
  readonly provider: CredentialProvider;
  /** Digests that take no thread; the signature names the credential it was made with. */
  readonly digests: Digests;
  /** What calls are signed with. */
  readonly current: Credential;
  /** What a reload brings. */
  readonly latest: Credential;
  /**
   * Puts another secret into the place of the current one.
   *
   * @param isNewId with an access key id that was not used before
   * @param isSeenAtOnce otherwise only a reload sees it
   */
  replace(isNewId: boolean, isSeenAtOnce: boolean): void;
  /** Who signed. */
  signerOf(authorization: string): Credential;
}

/** @param signingMs how long a signature takes */
export function createCredentialSource(
  { schedule }: Pick<Platform, 'schedule'>,
  signingMs: number,
): CredentialSource {
  const all: Credential[] = [];
  const make = (id: number): Credential => {
    const credential = { accessKeyId: `AK${id}`, secretAccessKey: `secret-${all.length}` };
    all.push(credential);
    return credential;
  };
  let id = 1;
  let held = make(id);
  let latest = held;
  return {
    provider: {
      get: () => held,
      reload: async (rejected) => {
        held = latest;
        return held !== rejected;
      },
      usable: () => true,
      warm: async () => undefined,
    },
    digests: {
      sha256: cheapDigest,
      hmacSha256: (_text, credential) => {
        const signature = all.indexOf(credential).toString(16).padStart(64, '0');
        if (signingMs === 0) return signature;
        return new Promise((resolve) => schedule(() => resolve(signature), signingMs));
      },
    },
    get current() {
      return held;
    },
    get latest() {
      return latest;
    },
    replace(isNewId, isSeenAtOnce) {
      if (isNewId) id += 1;
      latest = make(id);
      if (isSeenAtOnce) held = latest;
    },
    signerOf(authorization) {
      const signature = /Signature=([0-9a-f]{64})$/.exec(authorization)?.[1] ?? '';
      return all[Number.parseInt(signature, 16)] as Credential;
    },
  };
}

/** 64 hexadecimal digits that differ for different bytes, by FNV-1a with two offsets. */
function cheapDigest(data: string | Uint8Array): string {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  let one = 0x811c9dc5;
  let two = 0x01234567;
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    two = Math.imul(two ^ byte, 0x01000193);
  }
  const digits = [one, two].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  return digits.repeat(4);
}
