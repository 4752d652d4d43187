import type { Hit, Hits } from '../../hits.ts';

/** Headers made once for all answers that share theirs; each answer has a copy. */
const made = new WeakMap<Hit['headers'], Headers>();

/** Answers a request, if it is a hit; see createHits. */
export function answerHit(hits: Hits, { method, url, headers: sent }: Request): Response | undefined {
  // The path begins at the first slash behind those of `https://`.
  const hit = hits({ method, target: url.slice(url.indexOf('/', 8)), get: (name) => sent.get(name) });
  if (hit === undefined) return undefined;
  const headers = made.get(hit.headers) ?? new Headers(hit.headers);
  made.set(hit.headers, headers);
  headers.set('x-request-id', hit.requestId);
  return new Response(method === 'HEAD' ? null : hit.body, { status: hit.status, headers });
}
