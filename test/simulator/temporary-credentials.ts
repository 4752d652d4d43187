import type { AccessKeys } from './access-keys.ts';
import type { AccessKey } from './verify-signature.ts';

export interface TemporaryKey extends AccessKey {
  securityToken: string;
  expiresAtMs: number;
}

/** Issues key pairs with a security token that the gateway accepts until they expire. */
export class TemporaryCredentials {
  private readonly accessKeys: AccessKeys;
  private issued = 0;

  constructor(accessKeys: AccessKeys) {
    this.accessKeys = accessKeys;
  }

  issue(nowMs: number, lifetimeSeconds: number): TemporaryKey {
    this.issued += 1;
    const number = String(this.issued).padStart(6, '0');
    const key = {
      accessKeyId: `SIMULATORTEMP${number}`,
      secretAccessKey: `SimulatorTemporarySecretNotARealOne${number}`,
      securityToken: `simulator-security-token-${number}`,
      expiresAtMs: nowMs + lifetimeSeconds * 1000,
    };
    this.accessKeys.add(key);
    return key;
  }
}

/** The vendor's expiry time: six fraction digits, or none. */
export function formatExpiry(expiresAtMs: number, fractionDigits: 0 | 6): string {
  const iso = new Date(expiresAtMs).toISOString();
  return fractionDigits === 6 ? iso.replace('Z', '000Z') : `${iso.slice(0, 19)}Z`;
}
