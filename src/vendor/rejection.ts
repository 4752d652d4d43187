/** Why the vendor rejects a call, in words for operators: in the log and by the doctor. */
export const REJECTION_CAUSES = {
  unknown_key: 'the vendor does not know this access key',
  locked_key: 'the vendor has locked this access key',
  clock: 'the vendor rejects the date',
  signature: 'the signature is not the one that the vendor computes',
  token: 'the vendor does not accept the token',
  permission: 'the key may not list image caches',
} as const;

export type Rejection = keyof typeof REJECTION_CAUSES;

/**
 * Tells what a rejection means.
 *
 * @param status 401 or 403
 * @param text of the vendor, which goes no further than here
 * @param isClock the date was rejected
 */
export function readRejection(status: number, text: string, isClock: boolean): Rejection {
  if (status === 403) return 'permission';
  if (/not exist/i.test(text)) return 'unknown_key';
  if (/decrypt token|token (?:has )?(?:expire|fail|invalid)|invalid token/i.test(text)) return 'token';
  if (/reach the limit/i.test(text)) return 'locked_key';
  return isClock ? 'clock' : 'signature';
}

/**
 * Tells what a rejection means for the call that met it.
 *
 * @param rejection as `readRejection` gives it, which does not know how the call was authorised
 * @param isSigned false for a call with a token of IAM: nothing was signed, so an unexplained rejection is one of the token
 */
export function rejectionOf(rejection: Rejection, isSigned: boolean): Rejection {
  return rejection === 'signature' && !isSigned ? 'token' : rejection;
}
