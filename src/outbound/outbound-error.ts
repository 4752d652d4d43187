import { describeError, type ErrorDescription } from '../observability/describe-error.ts';

/**
 * Somebody outside gave no usable answer: a source of credentials, IAM, a file. The code is a fixed word of ours and all
 * that is logged of the answer, which may be a key.
 *
 * - `timeout`, `connection`: no answer came. `status_<number>`: another answer than 200.
 * - `too_large`, `not_the_model`: an answer came and is not what was asked for.
 * - `agency_missing`: the node has no agency. `unauthorised`: the metadata service rejects a new session token.
 * - `session_token_status_<number>`, `session_token_invalid`: there is no session token to ask with.
 * - `token_file_unreadable`, `token_file_invalid`: the pod's token cannot be read.
 * - `key_rejected`, `key_left_alone`: the key that the call needs was rejected, here or by another replica.
 * - `expired`: the credential that came has already expired, or our clock is wrong.
 * - `unreadable`: a file cannot be read, or not in time. `changing`: no two readings of it agree.
 * - `not_a_credential`, `not_a_key_document`, `not_a_certificate`, `not_a_key`: a file holds something else.
 * - `key_mismatch`, `not_usable`: a private key is that of another certificate, or OpenSSL does not use the pair.
 */
export class OutboundError extends Error {
  /** As it is logged; searches and alerts of operators may look for it. */
  override readonly name = 'CredentialSourceError';
  readonly code: string;
  constructor(code: string, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** The fields of a log line about an OutboundError: its code, and what it was caused by. */
export function describeOutboundError(thrown: unknown): {
  readonly reason: string;
  readonly error: ErrorDescription | undefined;
} {
  const { code: reason, cause } = thrown as OutboundError;
  return { reason, error: cause === undefined ? undefined : describeError(cause) };
}
