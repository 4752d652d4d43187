import * as z from 'zod/mini';
import { isSecureUrl } from './urls.ts';

/** Forms that several settings and documents share: zod schemas from text to value. */

export const visibleAscii = z.string().check(z.regex(/^[\x21-\x7e]{1,4096}$/));
/** A scope-token of RFC 6749, section 3.3. */
export const scopeToken = z.string().check(z.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/));
export const SCOPE_RULE = 'a scope: visible ASCII without space, " and \\';
export const claimName = z.string().check(z.regex(/^[\x21-\x7e]{1,256}$/));
export const filePath = z.string().check(z.minLength(1));
export const secureUrl = z.string().check(z.refine(isSecureUrl));

/** A URL to which paths are added: no query, and no slash at the end. */
export function endpoint(isAllowed: (text: string) => boolean): z.ZodMiniType<string, string> {
  return z.pipe(
    z.string().check(z.refine((text) => isAllowed(text) && new URL(text).search === '')),
    z.transform((text: string) => {
      const { origin, pathname } = new URL(text);
      return origin + pathname.replace(/\/+$/, '');
    }),
  );
}

/** One or more items separated by commas; white space around an item is dropped. */
export function listOf<Item>(item: z.ZodMiniType<Item, string>): z.ZodMiniType<Item[], string> {
  const items = z.pipe(
    z.string(),
    z.transform((text: string) => text.split(',').map((part) => part.trim())),
  );
  return z.pipe(items, z.array(item).check(z.minLength(1)));
}

/**
 * A document that an operator wrote, read by a parser of our own.
 *
 * @param parse returns the value, or its faults in our own words, which become the messages of the issues
 */
export function documentOf<Value extends object>(
  parse: (text: string) => Value | { readonly faults: readonly string[] },
): z.ZodMiniType<Value, string> {
  return z.pipe(
    z.string(),
    z.transform((text: string, { issues }) => {
      const parsed = parse(text);
      if (!('faults' in parsed)) return parsed;
      for (const message of parsed.faults) issues.push({ code: 'custom', message, input: text });
      return z.NEVER;
    }),
  );
}
