import * as z from 'zod/mini';
import { cceEndpointForRegion, iamEndpointForRegion, regionOfCceEndpoint } from '../../vendor/regions.ts';
import { endpoint } from '../forms.ts';
import { givenWithout, type SettingGroup, type Settings } from '../read-settings.ts';
import { type SettingRows, wholeNumber } from '../setting.ts';
import { isSecureUrl, SECURE_URL_RULE } from '../urls.ts';
import type { ProfileRows } from './credentials/profile-source.ts';

const endpointUrl = endpoint(isSecureUrl);
const ENDPOINT_RULE = `${SECURE_URL_RULE} or query`;

/** The project id that stands for a look-up in IAM. */
const LOOKED_UP = 'auto';

const ROWS = {
  CCE_REGION: {
    form: z.string().check(z.refine((region) => cceEndpointForRegion(region) !== undefined)),
    rule: 'a region known to this version; for any other set CCE_ENDPOINT',
    example: 'cn-north-4',
  },
  CCE_ENDPOINT: {
    form: endpointUrl,
    rule: ENDPOINT_RULE,
    example: 'https://cce.cn-north-4.myhuaweicloud.com',
  },
  HUAWEICLOUD_SDK_PROJECT_ID: {
    form: z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}$/)),
    rule: `a project id (letters, digits, - and _), or '${LOOKED_UP}' to ask IAM for it`,
    example: '0123456789abcdef0123456789abcdef',
    file: 'possible',
  },
  HUAWEICLOUD_SDK_IAM_ENDPOINT: {
    form: endpointUrl,
    rule: ENDPOINT_RULE,
    example: 'https://iam.cn-north-4.myhuaweicloud.com',
  },
  UPSTREAM_CONNECT_TIMEOUT_MS: wholeNumber(1, 60_000, 2000),
  UPSTREAM_ATTEMPT_TIMEOUT_MS: wholeNumber(1, 120_000, 5000),
  UPSTREAM_DEADLINE_MS: wholeNumber(1, 300_000, 8000),
  UPSTREAM_MAX_CONCURRENT: wholeNumber(1, 10_000, 32),
} satisfies SettingRows;

export type UpstreamRows = typeof ROWS;

/** How the project id is looked up in IAM. */
export interface ProjectLookupConfig {
  readonly region: string;
  /** Scheme, host and port; no slash at the end. */
  readonly iamEndpoint: string;
}

export interface UpstreamPart {
  /** CCE_REGION, else what the endpoint's host says of it; undefined where that is no name of the vendor's. */
  readonly region: string | undefined;
  readonly upstream: {
    /** Scheme, host and port, and a base path where a gateway needs one; no slash at the end. */
    readonly endpoint: string;
    readonly projectId: string | undefined;
    readonly connectTimeoutMs: number;
    readonly attemptTimeoutMs: number;
    readonly deadlineMs: number;
    /** Calls under way at once; more are shed. */
    readonly maxConcurrent: number;
  };
  /** With HUAWEICLOUD_SDK_PROJECT_ID=auto only. */
  readonly projectLookup: ProjectLookupConfig | undefined;
}

/** With the profile file, which may name the project and IAM. */
type ReadRows = UpstreamRows & ProfileRows;

/** Where CCE is, for which project, and how long and how often it is called. */
export const upstreamGroup: SettingGroup<UpstreamRows, UpstreamPart, ReadRows> = {
  rows: ROWS,

  reportContradictions(settings, { report, reportMissing }) {
    const { values, isGiven } = settings;
    if (!isGiven('CCE_REGION') && !isGiven('CCE_ENDPOINT'))
      reportMissing('CCE_REGION', ', and so is CCE_ENDPOINT');
    if (isProjectLookedUp(settings) && !isGiven('CCE_REGION')) {
      report(
        'HUAWEICLOUD_SDK_PROJECT_ID',
        `cannot be '${LOOKED_UP}' without CCE_REGION, whose name the look-up needs; set both, or the project id`,
      );
    }
    for (const [shorter, longer] of [
      ['UPSTREAM_CONNECT_TIMEOUT_MS', 'UPSTREAM_ATTEMPT_TIMEOUT_MS'],
      ['UPSTREAM_ATTEMPT_TIMEOUT_MS', 'UPSTREAM_DEADLINE_MS'],
    ] as const) {
      if (values[shorter] > values[longer])
        report(shorter, `must not be longer than ${longer} (default ${ROWS[longer].default})`);
    }
  },

  // CCE_REGION beside CCE_ENDPOINT is not idle: metrics name it, and STS is found by it.
  findIdle: (settings) =>
    isProjectLookedUp(settings)
      ? []
      : givenWithout(
          ['HUAWEICLOUD_SDK_IAM_ENDPOINT'],
          settings,
          `IAM is asked with HUAWEICLOUD_SDK_PROJECT_ID=${LOOKED_UP} only`,
        ),

  toConfig: (settings) => {
    const { values } = settings;
    // One of the two is there, and the region is known.
    const endpoint = values.CCE_ENDPOINT ?? (cceEndpointForRegion(values.CCE_REGION as string) as string);
    return {
      region: values.CCE_REGION ?? regionOfCceEndpoint(endpoint),
      upstream: {
        endpoint,
        projectId: givenProjectId(settings),
        connectTimeoutMs: values.UPSTREAM_CONNECT_TIMEOUT_MS,
        attemptTimeoutMs: values.UPSTREAM_ATTEMPT_TIMEOUT_MS,
        deadlineMs: values.UPSTREAM_DEADLINE_MS,
        maxConcurrent: values.UPSTREAM_MAX_CONCURRENT,
      },
      projectLookup: isProjectLookedUp(settings) ? toProjectLookup(settings) : undefined,
    };
  },
};

/** True with HUAWEICLOUD_SDK_PROJECT_ID=auto. */
export function isProjectLookedUp({
  values,
}: Settings<Pick<UpstreamRows, 'HUAWEICLOUD_SDK_PROJECT_ID'>>): boolean {
  return values.HUAWEICLOUD_SDK_PROJECT_ID === LOOKED_UP;
}

/** The project id that is set, or else the profile's; undefined where IAM or the credential tells it. */
export function givenProjectId(
  settings: Settings<ProfileRows & Pick<UpstreamRows, 'HUAWEICLOUD_SDK_PROJECT_ID'>>,
): string | undefined {
  const { HUAWEICLOUD_SDK_PROJECT_ID: projectId, HUAWEICLOUD_SDK_CREDENTIALS: profile } = settings.values;
  return isProjectLookedUp(settings) ? undefined : (projectId ?? profile?.projectId);
}

function toProjectLookup({ values }: Settings<ReadRows>): ProjectLookupConfig {
  const region = values.CCE_REGION as string;
  const iamEndpoint =
    values.HUAWEICLOUD_SDK_IAM_ENDPOINT ??
    values.HUAWEICLOUD_SDK_CREDENTIALS?.iamEndpoint ??
    iamEndpointForRegion(region);
  return { region, iamEndpoint: iamEndpoint as string };
}
