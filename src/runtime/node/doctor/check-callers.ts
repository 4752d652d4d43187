import { createKeyLoader, importKeys } from '../../../auth/issuer-keys.ts';
import type { Principal } from '../../../auth/principal.ts';
import { createAuthenticator } from '../../../auth/verify-token.ts';
import type { Config, IssuerConfig } from '../../../config/config.ts';
import { ProblemError } from '../../../http/problem.ts';
import type { Platform } from '../../../platform/platform.ts';
import { readTextFile } from '../platform/read-text-file.ts';
import { codeOf, plain, within } from './check-network.ts';
import { failed, type Outcome, ok, warning } from './findings.ts';

/** Can an issuer's keys be had, and are there any that its tokens may be signed with? */
export async function checkIssuer(issuer: IssuerConfig, deps: Platform): Promise<Outcome> {
  const { keys, algorithms } = issuer;
  try {
    const members = await within(createKeyLoader(issuer, deps)());
    const imported = await Promise.all(members.map((member) => importKeys([member], algorithms)));
    const usable = imported.filter((keys) => keys.length > 0).length;
    const kinds = members.map(kindOf).join(', ');
    if (usable === 0)
      return failed(
        `none of its keys can be used (${kinds})`,
        `Its tokens have to be signed with one of ${algorithms.join(', ')}: check the issuer's keys, and the algorithms of its settings.`,
      );
    const ignored = members.length - usable;
    return ok(
      `${usable} ${usable === 1 ? 'key' : 'keys'} (${kinds})${ignored === 0 ? '' : `, ${ignored} of them not usable and ignored`}`,
    );
  } catch (error) {
    return explain(codeOf(error), keys.kind);
  }
}

function kindOf(member: unknown): string {
  const { alg, kty, crv } = Object(member) as { alg?: unknown; kty?: unknown; crv?: unknown };
  return plain((alg ?? [kty, crv].filter(Boolean).join(' ')) || 'no key');
}

function explain(code: string, kind: IssuerConfig['keys']['kind']): Outcome {
  const detail = `its keys cannot be had (${code})`;
  if (code === 'issuer_differs')
    return failed(
      'its OpenID configuration names another issuer',
      'The issuer must be written exactly as in the `iss` of its tokens, including a slash at the end.',
    );
  if (code === 'insecure_jwks_uri')
    return failed(
      'its OpenID configuration has keys at an http URL',
      'Keys are taken over https only, except from loopback.',
    );
  if (code.startsWith('proxy_'))
    return failed(
      detail,
      'A proxy is in the way: check HTTPS_PROXY, permit the issuer there, or name its host in NO_PROXY.',
    );
  if (kind === 'file')
    return failed(detail, 'Check that the file is there, can be read by this user, and is a JWKS.');
  if (code.startsWith('status_'))
    return failed(
      detail,
      kind === 'discovery'
        ? 'There is no OpenID configuration there: check the issuer, or name its keys with AUTH_JWKS_URL.'
        : 'Check the URL of the keys.',
    );
  if (code === 'SyntaxError' || code === '$ZodError' || code === 'TypeError')
    return failed(
      'what came is not its keys, or there are none in it',
      'A proxy or a login page may answer in its place, or its key set is empty.',
    );
  return failed(
    detail,
    'Check that the issuer can be reached from here: name, firewall, network policy, certificate.',
  );
}

/** Would a caller with this token be let in? Names the claim that failed, and no value of the token. */
export async function checkToken(path: string, config: Config, deps: Platform): Promise<Outcome> {
  const token = await readTextFile(path).catch(codeOf);
  if (!token.includes('.'))
    return failed('there is no token in the file', 'It must hold a JWT, and nothing else.');
  let caller: Principal;
  try {
    // Nothing is left to wait for once the token is checked: the memory of tokens has a timer.
    const schedule: Platform['schedule'] = (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs).unref();
      return () => clearTimeout(timer);
    };
    const authenticator = createAuthenticator(config, { ...deps, schedule });
    caller = await within(authenticator.authenticate(`Bearer ${token.trim()}`));
  } catch (error) {
    const { reason = codeOf(error), claim } = error instanceof ProblemError ? error : {};
    return failed(denial(reason, claim), REMEDIES[reason] ?? 'The token must be one of a configured issuer.');
  }
  if (caller.refusal === undefined) return ok('a caller with it is let in');
  const { reason, claim } = caller.refusal;
  return failed(`it holds, but ${denial(reason, claim)}`, REMEDIES[reason] as string);
}

function denial(reason: string, claim: string | undefined): string {
  return `it is refused: ${reason}${claim === undefined ? '' : `, by the claim ${claim}`}`;
}

const AUDIENCE_REMEDY =
  'The issuer must put one of the configured audiences there. Where its access tokens have no `aud`, name another claim with AUTH_AUDIENCE_CLAIM, or with audienceClaim in AUTH_ISSUERS_FILE.';
const REMEDIES: Readonly<Record<string, string>> = {
  claim_missing: AUDIENCE_REMEDY,
  claim_wrong: AUDIENCE_REMEDY,
  unknown_issuer: 'The claim `iss` must be a configured issuer to the letter, including a slash at the end.',
  expired: 'Get a new token, and check the clock here.',
  not_yet_valid: 'Check the clocks here and at the issuer.',
  unknown_key: 'The issuer does not publish the key that signed it: check where its keys come from.',
  missing_scope:
    'The issuer must grant the scope, in one of these claims. Where scopes stand elsewhere, name the claim or its path with AUTH_SCOPE_CLAIM, or with scopeClaims in AUTH_ISSUERS_FILE.',
  subject_not_allowed: 'Add the claim `sub` of this caller to allowedSubjects.',
  no_keys: 'See the check of the issuer.',
};

/** Key pairs for SDK clients: how many, and do any expire soon? */
export function checkSdkKeys({ sdkClients }: Config, nowMs: number): Outcome | undefined {
  if (sdkClients === undefined) return undefined;
  const { keys } = sdkClients;
  const expired = keys.filter(({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs <= nowMs);
  if (keys.length === 0 || expired.length === keys.length)
    return warning(`none of ${keys.length} key pairs can be used`, 'Make one with `npm run keys -- add`.');
  return ok(
    `${keys.length - expired.length} key pairs${expired.length === 0 ? '' : `, and ${expired.length} expired`}`,
  );
}
