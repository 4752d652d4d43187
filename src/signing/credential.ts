/**
 * What a call to the vendor is made with. It is one unit: read, check and replace it as a whole. Never change it in
 * place: a new object is how the signer knows a new key.
 */
export type Credential = KeyPair | AuthToken;

/** A key pair of the vendor, which signs, and the token that makes it temporary. */
export interface KeyPair {
  /** The vendor's AK. Visible ASCII; sent in the clear. */
  readonly accessKeyId: string;
  /** The vendor's SK. Visible ASCII; never sent, logged or thrown. */
  readonly secretAccessKey: string;
  /** Comes with temporary credentials only. Visible ASCII; sent, but as secret as the key. */
  readonly securityToken?: string | undefined;
  /** Milliseconds since the epoch; absent: does not expire. For the provider: signing does not look at it. */
  readonly expiresAtMs?: number | undefined;
  readonly authToken?: undefined;
}

/** A token of IAM, sent as X-Auth-Token in place of a signature. */
export interface AuthToken {
  /** Visible ASCII; sent, never logged or thrown. */
  readonly authToken: string;
  readonly expiresAtMs?: number | undefined;
  readonly accessKeyId?: undefined;
  readonly secretAccessKey?: undefined;
  readonly securityToken?: undefined;
}

/**
 * An access key id, or a secret: visible ASCII, at most 4096 characters. No space, line end or other control character: a
 * mounted secret often ends in one.
 */
export const KEY_FORM = /^[\x21-\x7e]{1,4096}$/;
/** A security token: visible ASCII, at most 16,384 characters, wherever it comes from. It is sent as a header. */
export const SECURITY_TOKEN_FORM = /^[\x21-\x7e]{1,16384}$/;

/** A token that another service issues, such as a JWT: visible ASCII, at most 65,536 characters. */
export const TOKEN_FORM = /^[\x21-\x7e]{1,65536}$/;

/** What the vendor counts rejections by: the access key id, or the token. A token is a secret: never log it. */
export function keyIdOf({ accessKeyId, authToken }: Credential): string {
  return accessKeyId ?? authToken;
}

/**
 * Refuses a credential that could only earn a 401, six of which in a row lock the key.
 *
 * @throws TypeError that names the field and never its value
 */
export function checkCredential(credential: Credential): void {
  const { accessKeyId, secretAccessKey, securityToken, authToken, expiresAtMs } = credential;
  if (authToken === undefined) {
    checkForm('accessKeyId', accessKeyId, KEY_FORM);
    checkForm('secretAccessKey', secretAccessKey, KEY_FORM);
    if (securityToken !== undefined) checkForm('securityToken', securityToken, SECURITY_TOKEN_FORM);
  } else checkForm('authToken', authToken, TOKEN_FORM);
  if (expiresAtMs !== undefined && !Number.isFinite(expiresAtMs))
    throw new TypeError('credential: expiresAtMs must be a finite number of milliseconds');
}

function checkForm(field: string, value: unknown, form: RegExp): void {
  if (typeof value !== 'string' || !form.test(value))
    throw new TypeError(`credential: ${field} must be visible ASCII without white space, and not too long`);
}
