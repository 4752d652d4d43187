import type * as z from 'zod/mini';

/**
 * Reads a JSON document that an operator wrote.
 *
 * @param faultOf says what is wrong in words of ours: a library's message could quote a value, which may be a secret
 * @returns the value, or everything that is wrong
 */
export function parseDocument<Output>(
  text: string,
  schema: z.ZodMiniType<Output>,
  faultOf: (issue: z.core.$ZodIssue) => string,
): { readonly value: Output } | { readonly faults: readonly string[] } {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return { faults: ['is not JSON'] };
  }
  const result = schema.safeParse(document);
  return result.success ? { value: result.data } : { faults: [...new Set(result.error.issues.map(faultOf))] };
}
