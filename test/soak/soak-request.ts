import type { ProblemCode } from '../../src/http/problem.ts';
import type { CallerToken, CallerTokens } from './caller-tokens.ts';
import { NAMES } from './list-history.ts';
import type { RandomStream } from './random-stream.ts';

export interface SoakRequest {
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  /** What has to come: a list, the word that it is ready, or the problem with this code and nothing else. */
  readonly due: 'list' | 'ready' | ProblemCode;
  /** Its token, where that is or was a good one. */
  readonly token?: CallerToken;
  /** The caller goes away after so many milliseconds, if the answer has not come. */
  readonly leavesAfterMs?: number;
}

const LONGEST_STAY_MS = 4;

/** Most ask for what there is; some are wrong, each in one way; a few go away. */
export function nextRequest(
  tokens: CallerTokens,
  etags: ReadonlyMap<string, string>,
  random: RandomStream,
): SoakRequest {
  const refused = (due: ProblemCode, token?: string): SoakRequest => ({
    path: '/imagecaches',
    method: 'GET',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    due,
  });
  const list = (path: string, token: CallerToken) =>
    ({
      path,
      method: 'GET',
      headers: { authorization: `Bearer ${token.value}` },
      due: 'list',
      token,
    }) as const;
  const at = random.next();
  if (at < 0.02) return refused('unauthenticated');
  if (at < 0.03) return refused('unauthenticated', `${tokens.good(random).value}x`);
  if (at < 0.04) return refused('unauthenticated', tokens.bad.forged);
  if (at < 0.05) return refused('unauthenticated', tokens.bad.ofUnknownKey);
  if (at < 0.06) return refused('unauthenticated', tokens.bad.expired);
  if (at < 0.07) return refused('forbidden', tokens.bad.withoutScope);
  if (at < 0.09) {
    const query = at < 0.08 ? 'name=Bad_Name' : 'name=a&name=b';
    return { ...list(`/imagecaches?${query}`, tokens.good(random)), due: 'invalid_query' };
  }
  if (at < 0.1) return { path: '/readyz', method: 'GET', headers: {}, due: 'ready' };

  const name = NAMES[Math.floor(random.next() * NAMES.length * 2)];
  const path = name === undefined ? '/imagecaches' : `/imagecaches?name=${name}`;
  if (at < 0.15) return list(path, tokens.expiring(random));
  const asked = list(path, tokens.good(random));
  const askedWith = (headers: Readonly<Record<string, string>>): SoakRequest => ({
    ...asked,
    headers: { ...asked.headers, ...headers },
  });
  if (at < 0.2) return { ...asked, method: 'HEAD' };
  if (at < 0.205) return { ...asked, leavesAfterMs: random.between([0, LONGEST_STAY_MS]) };
  if (at < 0.22) return askedWith({ 'cache-control': 'no-cache' });
  const etag = at < 0.45 ? etags.get(path) : undefined;
  return etag === undefined ? asked : askedWith({ 'if-none-match': etag });
}
