import { createRequestRecord } from '../http/env.ts';
import { reportAnswer } from '../http/observe.ts';
import { problemFor } from '../http/on-error.ts';
import { ProblemError, type ProblemValue, problemValue } from '../http/problem.ts';
import type { Platform } from '../platform/platform.ts';
import type { ImageCacheLists } from './lists.ts';
import type { ImageCache } from './model.ts';
import { parseImageCachesQuery } from './query.ts';

/** The body of `/imagecaches`, or the problem that a request would have been answered with. */
export type ListOrProblem = { readonly image_caches: readonly ImageCache[] } | ProblemValue;

/** @param name the filter; undefined or null for the whole list. It may be anything: it comes from another program */
export type ListWithoutToken = (name?: unknown) => Promise<ListOrProblem>;

/**
 * The list for programs that are trusted by other means than a token: see the Worker's entrypoint. They have no principal,
 * so no limit counts them. Each answer has a line in the log. Never rejects.
 */
export function createListWithoutToken(
  { cache, target }: ImageCacheLists,
  platform: Pick<Platform, 'elapsed' | 'logger' | 'metrics'>,
): ListWithoutToken {
  return async (name) => {
    const startedAtMs = platform.elapsed();
    const requestId = crypto.randomUUID();
    const record = createRequestRecord();
    let answer: ListOrProblem;
    let status = 200;
    try {
      record.name = readName(name);
      const { response, outcome } = await cache.read(record.name, {});
      target.platform.metrics.cacheAnswered(outcome, platform.elapsed() - response.storedAtMs);
      record.access = 'granted';
      record.cache = outcome;
      answer = JSON.parse(new TextDecoder().decode(response.body)) as { image_caches: ImageCache[] };
    } catch (error) {
      record.problem = problemFor(error, requestId, platform.logger);
      status = record.problem.status;
      answer = problemValue(record.problem, requestId);
    }
    const ms = platform.elapsed() - startedAtMs;
    reportAnswer(platform, { requestId, method: 'RPC', route: 'list', status, ms }, record);
    return answer;
  };
}

function readName(name: unknown): string | undefined {
  if (name === undefined || name === null) return undefined;
  if (typeof name !== 'string')
    throw new ProblemError('invalid_query', { detail: "'name' must be a string" });
  return parseImageCachesQuery(`?${new URLSearchParams({ name })}`).name;
}
