import * as z from 'zod';
import { isSecureUrl } from './urls.ts';

/** Forms that several settings and documents share: zod schemas from text to value. */

export const visibleAscii = z.string().regex(/^[\x21-\x7e]{1,4096}$/);
/** A scope-token of RFC 6749, section 3.3. */
export const scopeToken = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/);
export const SCOPE_RULE = 'a scope: visible ASCII without space, " and \\';
export const claimName = z.string().regex(/^[\x21-\x7e]{1,256}$/);
export const filePath = z.string().min(1);
export const secureUrl = z.string().refine(isSecureUrl);

/** A URL to which paths are added: no query, and no slash at the end. */
export function endpoint(isAllowed: (text: string) => boolean): z.ZodType<string, string> {
  return z
    .string()
    .refine((text) => isAllowed(text) && new URL(text).search === '')
    .transform((text) => {
      const { origin, pathname } = new URL(text);
      return origin + pathname.replace(/\/+$/, '');
    });
}

/** One or more items separated by commas; white space around an item is dropped. */
export function listOf<Item>(item: z.ZodType<Item, string>): z.ZodType<Item[], string> {
  return z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(item).min(1)) as z.ZodType<Item[], string>;
}

/**
 * A document that an operator wrote, read by a parser of our own.
 *
 * @param parse returns the value, or its faults in our own words, which become the messages of the issues
 */
export function documentOf<Value extends object>(
  parse: (text: string) => Value | { readonly faults: readonly string[] },
): z.ZodType<Value, string> {
  return z.string().transform((text, context) => {
    const parsed = parse(text);
    if (!('faults' in parsed)) return parsed;
    for (const message of parsed.faults) context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}
