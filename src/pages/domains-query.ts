import { ProblemError } from '../http/problem.ts';

/** The name of an account, which is also that of its domain. */
export const DOMAIN_NAME = /^[\w.@-]{1,64}$/;

/** Name of the made-up domain, where the caller does not say which one it wants. */
const DEFAULT_NAME = 'imagecaches-bff';

/**
 * Validates the query of the domain look-up: none, as the vendor's SDKs make it, or `?name=<account>`, as older releases of
 * Terraform's client do, which then expect this name.
 *
 * @param url the request's URL, as text
 * @returns the name of the domain
 * @throws ProblemError `invalid_query`
 */
export function parseDomainsQuery(url: string): string {
  const parameters = [...new URL(url).searchParams];
  if (parameters.length === 0) return DEFAULT_NAME;
  const [[parameter, name = ''] = []] = parameters;
  if (parameters.length === 1 && parameter === 'name' && DOMAIN_NAME.test(name)) return name;
  throw new ProblemError('invalid_query', {
    detail: "only the parameter 'name' is allowed, once: 1 to 64 letters, digits and '_.@-'",
  });
}
