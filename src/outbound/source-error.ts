/**
 * A source of credentials gave none. The code is a fixed word of ours and all that is told of it: what the
 * source answered may be a key.
 *
 * - `timeout`, `connection`: no answer came. `status_<number>`: another answer than 200.
 * - `too_large`, `not_the_model`: an answer came and is not what was asked for.
 * - `agency_missing`: the node has no agency. `unauthorised`: the metadata service refuses a new session token.
 * - `session_token_status_<number>`, `session_token_invalid`: there is no session token to ask with.
 * - `token_file_unreadable`, `token_file_invalid`: the pod's token cannot be had.
 * - `expired`: the credential that came has already expired, or our clock is wrong.
 */
export class CredentialSourceError extends Error {
  override readonly name = 'CredentialSourceError';
  readonly code: string;
  constructor(code: string, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}
