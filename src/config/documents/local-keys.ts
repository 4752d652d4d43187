import * as z from 'zod/mini';
import { scopeToken } from '../forms.ts';
import { parseDocument } from './parse-document.ts';

/** A key pair made for a caller that uses one of the vendor's SDKs. It means nothing in the cloud. */
export interface LocalKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Who calls, for the log and the limits. */
  readonly subject: string;
  /** Undefined: the one scope that callers need, see AUTH_SCOPE. */
  readonly scopes?: readonly string[] | undefined;
  /** Milliseconds since the epoch; undefined: it does not expire. */
  readonly expiresAtMs: number | undefined;
}

const MAX_KEYS = 10_000;

const LocalKeySchema = z.strictObject({
  accessKeyId: z.string().check(z.regex(/^[A-Za-z0-9_-]{8,128}$/)),
  secretAccessKey: z.string().check(z.regex(/^[\x21-\x7e]{32,256}$/)),
  subject: z.string().check(z.regex(/^[^\p{Cc}]{1,256}$/u)),
  scopes: z.optional(z.array(scopeToken)),
  expiresAt: z.optional(z.iso.datetime({ offset: true })),
});

/** The document in SDK_KEYS_FILE. */
export const LocalKeysSchema = z
  .strictObject({
    $schema: z.optional(z.string()),
    keys: z.array(LocalKeySchema).check(z.maxLength(MAX_KEYS)),
  })
  .check(
    z.refine(({ keys }) => new Set(keys.map(({ accessKeyId }) => accessKeyId)).size === keys.length, {
      path: ['keys'],
    }),
  );

/** Said in place of a library's message: a value may be a secret. */
const RULES: Readonly<Record<string, string>> = {
  accessKeyId: 'must be 8 to 128 letters, digits, - and _',
  secretAccessKey: 'must be 32 to 256 visible characters',
  subject: 'must be 1 to 256 characters',
  scopes: 'must be an array of scopes',
  expiresAt: 'must be a date and time of RFC 3339, for example 2027-01-31T00:00:00Z',
  keys: `must be an array of at most ${MAX_KEYS} key pairs, each access key id once`,
};

/**
 * Reads the document in SDK_KEYS_FILE.
 *
 * @returns the key pairs, or what is wrong, each fault with the member's path and no value
 */
export function parseLocalKeys(text: string): LocalKey[] | { readonly faults: readonly string[] } {
  const result = parseDocument(text, LocalKeysSchema, faultOf);
  if ('faults' in result) return result;
  return result.value.keys.map(({ expiresAt, ...key }) => ({
    ...key,
    expiresAtMs: expiresAt === undefined ? undefined : Date.parse(expiresAt),
  }));
}

function faultOf({ code, path }: z.core.$ZodIssue): string {
  const where = typeof path[1] === 'number' ? `keys[${path[1]}]` : 'the document';
  if (code === 'unrecognized_keys') return `${where} has a member that is not known`;
  const member = path.findLast((part) => typeof part === 'string');
  const rule = RULES[String(member)];
  if (rule === undefined) return "must be an object with the member 'keys'";
  return member === 'keys' ? `keys ${rule}` : `${where}.${String(member)} ${rule}`;
}
