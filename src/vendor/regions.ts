const DEFAULT_DOMAIN = 'myhuaweicloud.com';

/**
 * Regions whose endpoints have a domain of their own (services/cce/v5/region and services/iam/v3/region of
 * huaweicloud-sdk-go-v3).
 */
const DOMAINS: ReadonlyMap<string, string> = new Map([['eu-west-101', 'myhuaweicloud.eu']]);

/**
 * The regions in which CCE's API v5 is known to exist: services/cce/v5/region/region.go of
 * huaweicloud-sdk-go-v3, as of v0.1.207. New regions appear, so a region that is not in here is not wrong: it
 * needs its endpoint to be set.
 */
export const CCE_REGIONS: readonly string[] = Object.freeze([
  'ae-ad-1',
  'af-north-1',
  'af-south-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'ap-southeast-5',
  'cn-east-2',
  'cn-east-3',
  'cn-east-4',
  'cn-east-5',
  'cn-north-1',
  'cn-north-2',
  'cn-north-4',
  'cn-north-9',
  'cn-north-11',
  'cn-north-12',
  'cn-south-1',
  'cn-south-2',
  'cn-south-4',
  'cn-southwest-2',
  'eu-west-0',
  'eu-west-101',
  'la-north-2',
  'la-south-2',
  'me-east-1',
  'my-kualalumpur-1',
  'na-mexico-1',
  'ru-moscow-1',
  'ru-northwest-2',
  'sa-brazil-1',
  'tr-west-1',
]);

/** Regions that have CCE and no IAM endpoint in services/iam/v3/region of the same SDK: the global one serves. */
const REGIONS_WITH_GLOBAL_IAM: ReadonlySet<string> = new Set([
  'af-north-1',
  'ap-southeast-5',
  'cn-north-11',
  'cn-south-4',
  'ru-northwest-2',
]);

const KNOWN_REGIONS: ReadonlySet<string> = new Set(CCE_REGIONS);

/**
 * The CCE endpoint of a region: scheme and host, no slash at the end.
 *
 * @param region a region id as the vendor spells it, such as `cn-north-4`
 * @returns undefined for a region unknown to this version
 */
export function cceEndpointForRegion(region: string): string | undefined {
  return KNOWN_REGIONS.has(region) ? `https://cce.${region}.${domainOf(region)}` : undefined;
}

/** Ids of regions are two letters, a place and a number. */
const CCE_HOST = /^https:\/\/cce\.([a-z]{2}(?:-[a-z]+)+-\d{1,3})\./;

/**
 * The region that an endpoint of CCE names, known to this version or not: `https://cce.cn-north-4.myhuaweicloud.com` is in
 * cn-north-4.
 *
 * @returns undefined when its host is none of the vendor's form
 */
export function regionOfCceEndpoint(endpoint: string): string | undefined {
  return CCE_HOST.exec(endpoint)?.[1];
}

/**
 * The IAM endpoint that serves a region: scheme and host, no slash at the end.
 *
 * For eu-west-101 it is the regional one, as in services/iam/v3/region. The SDK's own look-up of projects has a
 * second table (core/auth/internal/iam_endpoint.go) without that region, and asks the global endpoint there.
 *
 * @param region a region id as the vendor spells it, such as `cn-north-4`
 * @returns undefined for a region unknown to this version
 */
export function iamEndpointForRegion(region: string): string | undefined {
  if (!KNOWN_REGIONS.has(region)) return undefined;
  if (REGIONS_WITH_GLOBAL_IAM.has(region)) return `https://iam.${DEFAULT_DOMAIN}`;
  return `https://iam.${region}.${domainOf(region)}`;
}

/**
 * The STS endpoint of a region: scheme and host, no slash at the end. The vendor's SDK lists a dozen of them
 * (core/auth/endpoint.py of huaweicloud-sdk-python-v3), all of this form.
 *
 * @param region a region id as the vendor spells it, such as `cn-north-4`
 * @returns undefined for a region unknown to this version
 */
export function stsEndpointForRegion(region: string): string | undefined {
  return KNOWN_REGIONS.has(region) ? `https://sts.${region}.${domainOf(region)}` : undefined;
}

function domainOf(region: string): string {
  return DOMAINS.get(region) ?? DEFAULT_DOMAIN;
}
