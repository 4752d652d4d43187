import * as z from 'zod/mini';
import { claimName, filePath, scopeToken, secureUrl, visibleAscii } from '../forms.ts';
import { SECURE_URL_RULE } from '../urls.ts';
import { parseDocument } from './parse-document.ts';

/** Verified with jose; every one is asymmetric, so a public key can never be taken for a shared secret. */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

export const DEFAULT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;
export const DEFAULT_SCOPE = 'imagecaches:read';
export const DEFAULT_SCOPE_CLAIMS = ['scope', 'scp'] as const;

/** Where an issuer's public keys come from. */
export type KeyLocation =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string };

export interface IssuerConfig {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The claim that must hold one of them in place of `aud`, a name or a path. */
  readonly audienceClaim?: string | undefined;
  readonly keys: KeyLocation;
  readonly algorithms: readonly string[];
  /** A caller needs all of them; none where allowedSubjects says who may come. */
  readonly requiredScopes: readonly string[];
  /** Claims that may hold scopes, names or paths: a space-separated string or an array. */
  readonly scopeClaims: readonly string[];
  /** Exact, or with a trailing `*` all that begin like it; undefined: any. */
  readonly allowedSubjects: readonly string[] | undefined;
}

const MAX_ISSUERS = 100;

const IssuerSchema = z
  .strictObject({
    issuer: secureUrl,
    audiences: z.array(visibleAscii).check(z.minLength(1)),
    audienceClaim: z.optional(claimName),
    jwksUrl: z.optional(secureUrl),
    jwksFile: z.optional(filePath),
    algorithms: z._default(z.array(z.enum(ASYMMETRIC_ALGORITHMS)).check(z.minLength(1)), [
      ...DEFAULT_ALGORITHMS,
    ]),
    requiredScopes: z._default(z.array(scopeToken), [DEFAULT_SCOPE]),
    scopeClaims: z._default(z.array(claimName).check(z.minLength(1)), [...DEFAULT_SCOPE_CLAIMS]),
    allowedSubjects: z.optional(z.array(z.string().check(z.regex(/^[^*]{1,256}\*?$/))).check(z.minLength(1))),
  })
  .check(
    z.refine(({ jwksUrl, jwksFile }) => jwksUrl === undefined || jwksFile === undefined, {
      path: ['jwksFile'],
    }),
    // With neither, every token of a public issuer would do.
    z.refine(({ requiredScopes, allowedSubjects }) => requiredScopes.length > 0 || allowedSubjects, {
      path: ['requiredScopes'],
    }),
  );

/** The document in AUTH_ISSUERS_FILE. */
export const IssuersSchema = z
  .strictObject({
    $schema: z.optional(z.string()),
    issuers: z.array(IssuerSchema).check(z.minLength(1), z.maxLength(MAX_ISSUERS)),
  })
  .check(
    z.refine(({ issuers }) => new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length, {
      path: ['issuers'],
    }),
  );

/** What each member must be, said in place of a library's message, which could quote a value. */
const RULES: Readonly<Record<string, string>> = {
  issuer: `must be ${SECURE_URL_RULE}`,
  audiences: 'must be an array of one or more audiences',
  audienceClaim: 'must be a claim name, or a path with dots',
  jwksUrl: `must be ${SECURE_URL_RULE}`,
  jwksFile: 'must be a path, and not stand beside jwksUrl',
  algorithms: `must be an array of one or more of ${ASYMMETRIC_ALGORITHMS.join(', ')}`,
  requiredScopes: 'must be an array of scopes, with at least one unless allowedSubjects is set',
  scopeClaims: 'must be an array of one or more claim names',
  allowedSubjects: "must be an array of subjects, each exact or with one '*' at its end",
  issuers: `must be an array of 1 to ${MAX_ISSUERS} issuers, each named once`,
};

/**
 * Reads the document in AUTH_ISSUERS_FILE.
 *
 * @returns the issuers, or what is wrong, each fault with the member's path and no value
 */
export function parseIssuers(text: string): IssuerConfig[] | { readonly faults: readonly string[] } {
  const result = parseDocument(text, IssuersSchema, faultOf);
  if ('faults' in result) return result;
  return result.value.issuers.map(({ jwksUrl, jwksFile, allowedSubjects, audienceClaim, ...issuer }) => ({
    ...issuer,
    audienceClaim,
    allowedSubjects,
    keys:
      jwksUrl !== undefined
        ? { kind: 'url', url: jwksUrl }
        : jwksFile !== undefined
          ? { kind: 'file', path: jwksFile }
          : { kind: 'discovery' },
  }));
}

function faultOf({ code, path }: z.core.$ZodIssue): string {
  const names = path.filter((part) => typeof part === 'string');
  const where = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  if (code === 'unrecognized_keys')
    return `${where === '' ? 'the document' : where} has a member that is not known`;
  const rule = RULES[names.at(-1) ?? ''];
  return rule === undefined ? "must be an object with the member 'issuers'" : `${where} ${rule}`;
}
