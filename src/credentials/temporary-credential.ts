import * as z from 'zod/mini';
import { OutboundError } from '../outbound/outbound-error.ts';
import { type Credential, KEY_FORM, SECURITY_TOKEN_FORM } from '../signing/credential.ts';
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

/** What the signer accepts. */
export const keySchema = z.string().check(z.regex(KEY_FORM));
export const securityTokenSchema = z.string().check(z.regex(SECURITY_TOKEN_FORM));
/** An expiry time, read into milliseconds since the epoch. */
export const expirySchema = z.pipe(
  z.string(),
  z.transform((text: string, { issues }) => {
    const epochMs = parseExpiry(text);
    if (epochMs !== undefined) return epochMs;
    issues.push({ code: 'custom', input: text });
    return z.NEVER;
  }),
);

/**
 * Reads an answer that holds temporary credentials. Members that the schema does not name are ignored.
 *
 * @throws OutboundError `not_the_model`; why is not told, since that would quote the answer
 */
export function readTemporaryCredential(text: string, schema: z.ZodMiniType<Credential>): Credential {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OutboundError('not_the_model');
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new OutboundError('not_the_model');
  return result.data;
}
