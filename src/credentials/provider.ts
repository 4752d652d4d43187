import type { TargetPlatform } from '../platform/platform.ts';
import { type Credential, checkCredential } from '../signing/credential.ts';

/** Where the credential comes from. It is asked at each signing, so that a replaced key is in use at once. */
export interface CredentialProvider {
  /**
   * The credential to sign with now. The same object as long as it is the same credential.
   *
   * @throws CredentialUnavailableError (or rejects with it) when there is none that may be used
   */
  get(): Credential | Promise<Credential>;
  /**
   * The vendor has rejected this credential: asks the source whether it has another by now. Never rejects.
   *
   * @returns true when `get` answers another credential than the rejected one
   */
  reload(rejected: Credential): Promise<boolean>;
  /**
   * True while a credential is held that may be used. For readiness: it answers at once and waits for nobody,
   * but a refresh that is due may begin, so that a service without traffic does not lose its credential.
   */
  usable(): boolean;
  /** Gets a credential if none is held and the pause after a failure is over. Never rejects. */
  warm(): Promise<void>;
}

/** A source of credentials that a configuration may name. */
export interface CredentialSource<Config> {
  /** What it is called in a sentence, such as `the agency of the node`. */
  readonly name: string;
  /** What to check when it gives no credential: one or two sentences. */
  readonly remedy: string;
  /**
   * Asks nobody before it is asked.
   *
   * @throws TypeError when a configured credential cannot be used, see checkCredential
   */
  create(config: Config, platform: TargetPlatform): CredentialProvider;
}

/**
 * There is no credential to sign with, or no project id to send with it. The code is a fixed word of ours, for
 * the log: `no_credential` and `credential_expired` of the refreshing provider, `project_none`, `project_several`,
 * `project_refused`, `project_left_alone` (other replicas do not use the key now) and `project_lookup_failed` of the project
 * look-up.
 */
export class CredentialUnavailableError extends Error {
  override readonly name = 'CredentialUnavailableError';
  readonly code: string;
  /** @param options `cause`: why the source gave none */
  constructor(code: string, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** True when both sign alike: the expiry may differ. */
export function isSameCredential(a: Credential, b: Credential): boolean {
  return (
    a.accessKeyId === b.accessKeyId &&
    a.secretAccessKey === b.secretAccessKey &&
    a.securityToken === b.securityToken &&
    a.authToken === b.authToken
  );
}

/**
 * Checks a credential and copies what belongs to it into a frozen object.
 *
 * @throws TypeError when it cannot be used, see checkCredential
 */
export function freezeCredential<Kind extends Credential>(credential: Kind): Kind {
  checkCredential(credential);
  const { accessKeyId, secretAccessKey, securityToken, authToken, expiresAtMs } = credential;
  const own =
    authToken === undefined
      ? { accessKeyId, secretAccessKey, securityToken, expiresAtMs }
      : { authToken, expiresAtMs };
  return Object.freeze(own) as Kind;
}
