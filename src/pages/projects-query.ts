import { ProblemError } from '../http/problem.ts';

/** A region's name, which is also that of its main project: the only projects that are looked up here. */
export const REGION_NAME = /^[a-z]{2}-[a-z0-9-]{1,60}$/;

/**
 * Validates the query of the project look-up as the vendor's SDKs make it, `?name=<region>`.
 *
 * @param url the request's URL, as text
 * @returns the region
 * @throws ProblemError `invalid_query`
 */
export function parseProjectsQuery(url: string): string {
  const parameters = [...new URL(url).searchParams];
  const [[parameter, region = ''] = []] = parameters;
  if (parameters.length === 1 && parameter === 'name' && REGION_NAME.test(region)) return region;
  throw new ProblemError('invalid_query', {
    detail: "one parameter is needed, 'name', and must be the name of a region, such as cn-north-4",
  });
}
