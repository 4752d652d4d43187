import * as z from 'zod/mini';
import { OutboundError } from '../outbound/outbound-error.ts';
import { KEY_FORM, type KeyPair, SECURITY_TOKEN_FORM } from '../signing/credential.ts';
import { utcEpochMsOfDigits } from '../time/utc.ts';

const TIME =
  /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)T(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:\.(?<fraction>\d{1,9}))?Z$/;

/**
 * Reads the expiry time of temporary credentials: RFC 3339 in UTC with up to nine fraction digits. The vendor
 * sends six or none (`2006-01-02T15:04:05.000000Z`, core/auth of huaweicloud-sdk-go-v3).
 *
 * @returns milliseconds since the epoch, the rest cut off; undefined for anything else, such as 30 February
 */
export function parseExpiry(text: string): number | undefined {
  const parts = TIME.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const epochMs = utcEpochMsOfDigits(parts);
  if (epochMs === undefined) return undefined;
  return epochMs + Number((parts.fraction ?? '').padEnd(3, '0').slice(0, 3));
}

/** An expiry time, read into milliseconds since the epoch. */
const expirySchema = z.pipe(
  z.string(),
  z.transform((text: string, { issues }) => {
    const epochMs = parseExpiry(text);
    if (epochMs !== undefined) return epochMs;
    issues.push({ code: 'custom', input: text });
    return z.NEVER;
  }),
);

/** What the signer accepts. */
const CredentialSchema = z.object({
  accessKeyId: z.string().check(z.regex(KEY_FORM)),
  secretAccessKey: z.string().check(z.regex(KEY_FORM)),
  securityToken: z.string().check(z.regex(SECURITY_TOKEN_FORM)),
  expiresAtMs: expirySchema,
});

/**
 * Reads an answer that holds temporary credentials, with the names that the vendor's services give its members
 * (`_process_credential` in core/auth/internal.py of huaweicloud-sdk-python-v3). Other members are ignored.
 *
 * @throws OutboundError `not_the_model`; why is not told, since that would quote the answer
 */
export function readTemporaryCredential(text: string): KeyPair {
  let answer: Record<string, Record<string, unknown> | undefined> | null;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new OutboundError('not_the_model');
  }
  const given = answer?.credentials ?? answer?.credential;
  const result = CredentialSchema.safeParse({
    accessKeyId: given?.access_key_id ?? given?.accessKeyId ?? given?.access,
    secretAccessKey: given?.secret_access_key ?? given?.secretAccessKey ?? given?.secret,
    securityToken: given?.security_token ?? given?.securityToken ?? given?.securitytoken,
    expiresAtMs: given?.expiration ?? given?.expires_at,
  });
  if (!result.success) throw new OutboundError('not_the_model');
  return result.data;
}
