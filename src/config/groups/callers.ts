import * as z from 'zod/mini';
import {
  ASYMMETRIC_ALGORITHMS,
  DEFAULT_ALGORITHMS,
  DEFAULT_SCOPE,
  DEFAULT_SCOPE_CLAIMS,
  type IssuerConfig,
  type KeyLocation,
  parseIssuers,
} from '../documents/issuers.ts';
import {
  claimName,
  documentOf,
  endpoint,
  filePath,
  listOf,
  SCOPE_RULE,
  scopeToken,
  secureUrl,
  visibleAscii,
} from '../forms.ts';
import { givenWithout, type SettingGroup, type SettingValues } from '../read-settings.ts';
import type { SettingRows } from '../setting.ts';
import { isOrigin, isPublicUrl, PUBLIC_URL_RULE, SECURE_URL_RULE } from '../urls.ts';

const REFRESH_SCOPE = 'imagecaches:refresh';

const CLAIM_RULE = 'a claim name; a path has dots';

const ROWS = {
  AUTH_ISSUER: { form: secureUrl, rule: SECURE_URL_RULE, example: 'https://login.example.com' },
  AUTH_AUDIENCE: {
    form: listOf(visibleAscii),
    rule: 'one or more audiences, comma-separated',
    example: 'imagecaches',
  },
  AUTH_AUDIENCE_CLAIM: { form: claimName, rule: CLAIM_RULE, example: 'client_id' },
  AUTH_JWKS_URL: { form: secureUrl, rule: SECURE_URL_RULE, example: 'https://login.example.com/jwks.json' },
  AUTH_JWKS_FILE: {
    form: filePath,
    rule: 'the path of a JWKS file',
    example: '/etc/imagecaches-bff/jwks.json',
  },
  AUTH_ALGORITHMS: {
    form: listOf(z.enum(ASYMMETRIC_ALGORITHMS)),
    rule: `one or more of ${ASYMMETRIC_ALGORITHMS.join(', ')}, comma-separated`,
    example: 'RS256,ES256',
    default: DEFAULT_ALGORITHMS.join(),
  },
  AUTH_SCOPE: { form: scopeToken, rule: SCOPE_RULE, example: DEFAULT_SCOPE, default: DEFAULT_SCOPE },
  AUTH_REFRESH_SCOPE: { form: scopeToken, rule: SCOPE_RULE, example: REFRESH_SCOPE, default: REFRESH_SCOPE },
  AUTH_SCOPE_CLAIM: {
    form: listOf(claimName),
    rule: 'one or more claim names, comma-separated; a path has dots, as in realm_access.roles',
    example: DEFAULT_SCOPE_CLAIMS.join(),
    default: DEFAULT_SCOPE_CLAIMS.join(),
  },
  AUTH_ISSUERS: {
    form: documentOf(parseIssuers),
    rule: 'a JSON document of issuers',
    example: '{"issuers":[…]}',
    file: 'usual',
    hasOwnFaults: true,
  },
  PUBLIC_URL: {
    form: endpoint(isPublicUrl),
    rule: PUBLIC_URL_RULE,
    example: 'https://imagecaches.example.com',
  },
  CORS_ORIGINS: {
    form: listOf(z.string().check(z.refine(isOrigin))),
    rule: 'one or more origins, comma-separated: scheme, host and port as a browser sends them',
    example: 'https://console.example.com',
  },
} satisfies SettingRows;

export type CallerRows = typeof ROWS;

export interface CallersPart {
  readonly issuers: readonly IssuerConfig[];
  /** Who has it may force a refresh. */
  readonly refreshScope: string;
  /** The URL by which callers know the service, without a slash at the end. Undefined: it does not describe itself. */
  readonly publicUrl: string | undefined;
  /** Web pages of these origins may call; none: none. */
  readonly corsOrigins: readonly string[];
}

/** Who may call with a token, and from which web pages. */
export const callersGroup: SettingGroup<CallerRows, CallersPart> = {
  rows: ROWS,

  reportContradictions({ values }, { report }) {
    if (values.AUTH_ISSUERS?.some(({ issuer }) => issuer === values.AUTH_ISSUER))
      report('AUTH_ISSUERS', 'names the issuer of AUTH_ISSUER again; list it once');
    if (values.AUTH_JWKS_URL !== undefined && values.AUTH_JWKS_FILE !== undefined)
      report('AUTH_JWKS_FILE', 'contradicts AUTH_JWKS_URL; set only one of them');
  },

  findIdle: (settings) =>
    settings.isGiven('AUTH_ISSUER')
      ? []
      : givenWithout(
          ['AUTH_AUDIENCE_CLAIM', 'AUTH_JWKS_URL', 'AUTH_JWKS_FILE', 'AUTH_ALGORITHMS', 'AUTH_SCOPE_CLAIM'],
          settings,
          'it is for AUTH_ISSUER, which is not set',
        ),

  toConfig: ({ values }) => ({
    issuers: [...toOwnIssuer(values), ...(values.AUTH_ISSUERS ?? [])],
    refreshScope: values.AUTH_REFRESH_SCOPE,
    publicUrl: values.PUBLIC_URL,
    corsOrigins: values.CORS_ORIGINS ?? [],
  }),
};

/** The issuer that is configured by settings of its own, if there is one. */
function toOwnIssuer(values: SettingValues<CallerRows>): IssuerConfig[] {
  if (values.AUTH_ISSUER === undefined) return [];
  return [
    {
      issuer: values.AUTH_ISSUER,
      audiences: values.AUTH_AUDIENCE as string[],
      audienceClaim: values.AUTH_AUDIENCE_CLAIM,
      keys: toKeyLocation(values),
      algorithms: values.AUTH_ALGORITHMS,
      requiredScopes: [values.AUTH_SCOPE],
      scopeClaims: values.AUTH_SCOPE_CLAIM,
      allowedSubjects: undefined,
    },
  ];
}

function toKeyLocation(values: SettingValues<CallerRows>): KeyLocation {
  if (values.AUTH_JWKS_URL !== undefined) return { kind: 'url', url: values.AUTH_JWKS_URL };
  if (values.AUTH_JWKS_FILE !== undefined) return { kind: 'file', path: values.AUTH_JWKS_FILE };
  return { kind: 'discovery' };
}
