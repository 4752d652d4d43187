import { expect } from 'vitest';
import type { Platform } from '../../src/platform/platform.ts';
import { TEST_ISSUER } from '../support/test-keys.ts';
import { createTestService, type TestService } from '../support/test-service.ts';
import { KEY_SET, SUBJECT } from './raw-token.ts';

export const NO_TOKEN_CHALLENGE = 'Bearer realm="imagecaches"';
export const MALFORMED_CHALLENGE = invalidTokenChallenge('malformed');
export const SCOPE_CHALLENGE =
  'Bearer realm="imagecaches", error="insufficient_scope", scope="imagecaches:read"';

/** What the challenge says of a token, by the reason in the log; of any other reason that it is malformed (docs/callers.md). */
const TOLD: Readonly<Record<string, string>> = {
  expired: 'expired',
  not_yet_valid: 'not yet valid',
  unknown_issuer: 'from the wrong issuer',
  'claim_missing iss': 'from the wrong issuer',
  'claim_missing aud': 'for the wrong audience',
  'claim_wrong aud': 'for the wrong audience',
  unknown_key: 'signed with an unknown key',
  ERR_JOSE_ALG_NOT_ALLOWED: 'signed with an unknown key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'signed with an unknown key',
};

export function invalidTokenChallenge(fault: string): string {
  return `Bearer realm="imagecaches", error="invalid_token", error_description="the token is ${fault}"`;
}

/** The same for every request, so that answers can be compared byte for byte. */
const REQUEST_ID = 'attack';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly service: TestService;
}

export interface Attempt {
  readonly headers?: Record<string, string>;
  readonly path?: string;
  readonly method?: string;
  readonly environment?: Record<string, string>;
  readonly overrides?: Partial<Platform>;
  readonly keySet?: unknown;
  /** What must be in no answer and no log line, besides the segments of a bearer token. */
  readonly secrets?: readonly string[];
  /** The clock is moved on by so much before the request. */
  readonly afterMs?: number;
}

export async function createAttackedService(attempt: Attempt = {}): Promise<TestService> {
  const service = await createTestService(attempt.environment, attempt.overrides);
  service.issuer = () => Response.json(attempt.keySet ?? KEY_SET);
  return service;
}

/** One request to a new service, and what holds for each of them whatever is sent. */
export async function attempt(wanted: Attempt): Promise<Answer> {
  const service = await createAttackedService(wanted);
  await service.clock.advance(wanted.afterMs ?? 0);
  const response = await service.app.request(wanted.path ?? '/imagecaches', {
    method: wanted.method ?? 'GET',
    headers: { 'x-request-id': REQUEST_ID, ...wanted.headers },
  });
  const headers = Object.fromEntries(response.headers);
  const body = await response.text();

  // No key, and nothing else, is ever asked for where a token says.
  for (const url of service.keyCalls) expect(url).toBe(`${TEST_ISSUER}/jwks.json`);
  for (const { url } of service.calls) expect(url.host).toBe('cce.example.test');
  expect(service.keyCalls.length).toBeLessThanOrEqual(1);

  const requests = service.logger.lines.filter(({ message }) => message === 'request');
  expect(requests).toHaveLength(1);
  expect(service.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  const told = JSON.stringify([headers, body, service.logger.lines]);
  for (const secret of [...segmentsOf(wanted.headers?.authorization ?? ''), ...(wanted.secrets ?? [])]) {
    expect(told).not.toContain(secret);
  }
  return { status: response.status, headers, body, service };
}

/** What of a header may not come out again. Very short parts would be found anywhere. */
export function segmentsOf(authorization: string): string[] {
  return authorization.split(/[\s.,"]+/).filter((part) => part.length > 11);
}

export const bearer = (text: string): { authorization: string } => ({ authorization: `Bearer ${text}` });

function logged({ service }: Answer): Record<string, unknown> {
  return service.logger.lines.find(({ message }) => message === 'request')?.fields ?? {};
}

let refusal: Promise<Pick<Answer, 'status' | 'headers' | 'body'>> | undefined;

/** What every token that does not hold gets. */
export function theRefusal(): Promise<Pick<Answer, 'status' | 'headers' | 'body'>> {
  refusal ??= attempt({ headers: bearer('x') }).then(({ status, headers, body }) => ({
    status,
    headers,
    body,
  }));
  return refusal;
}

/** 401, to the byte what any other bad token gets, but for a few words of a fixed list; the cause is one word, in the log only. */
export async function expectRefused(wanted: Attempt): Promise<Answer> {
  const answer = await attempt(wanted);
  expect(answer.status).toBe(401);
  const { subject, issuer, reason, claim } = logged(answer);
  const challenge = invalidTokenChallenge(TOLD[`${reason} ${claim}`] ?? TOLD[`${reason}`] ?? 'malformed');
  const { status, headers, body } = answer;
  const refusal = await theRefusal();
  expect({ status, headers, body }).toEqual({
    ...refusal,
    headers: { ...refusal.headers, 'www-authenticate': challenge },
  });
  expect(answer.service.calls).toHaveLength(0);
  expect({ subject, issuer }).toEqual({ subject: undefined, issuer: undefined });
  expect(reason).toMatch(/^[A-Za-z_]{3,64}$/);
  return answer;
}

export async function expectAccepted(wanted: Attempt, subject = SUBJECT): Promise<Answer> {
  const answer = await attempt(wanted);
  expect(answer.status).toBe(200);
  expect(answer.headers['www-authenticate']).toBeUndefined();
  expect(JSON.parse(answer.body)).toHaveProperty('image_caches');
  expect(logged(answer)).toMatchObject({ subject, issuer: TEST_ISSUER });
  return answer;
}

/** The token holds, but it does not say that its owner may. */
export async function expectForbidden(wanted: Attempt): Promise<Answer> {
  const answer = await attempt(wanted);
  expect(answer.status).toBe(403);
  expect(answer.headers['www-authenticate']).toBe(SCOPE_CHALLENGE);
  expect(answer.service.calls).toHaveLength(0);
  return answer;
}

export async function expectAsked(wanted: Attempt): Promise<Answer> {
  const answer = await attempt(wanted);
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toBe(NO_TOKEN_CHALLENGE);
  expect(answer.service.calls).toHaveLength(0);
  return answer;
}
