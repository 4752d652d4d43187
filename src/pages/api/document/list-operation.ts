import type { ProblemCode } from '../../../http/problem.ts';
import { IMAGE_CACHE_EXAMPLE } from '../../../imagecaches/schema.ts';
import { headers } from './headers.ts';
import { type Json, ref } from './json.ts';
import { type ErrorForm, problemResponses } from './problem-responses.ts';
import { content } from './schemas.ts';

/** Codes that what comes from the list can be answered with. */
export const LIST_CODES: readonly ProblemCode[] = [
  'invalid_query',
  'unauthenticated',
  'forbidden',
  'rate_limited',
  'internal',
  'upstream_rejected',
  'upstream_failed',
  'keys_unavailable',
  'credentials_unavailable',
  'upstream_throttled',
  'overloaded',
  'upstream_timeout',
];

export const LIST_HEADERS = headers('ETag', 'Age', 'Cache-Control', 'Cache-Status', 'X-Request-Id');

export function listOperation(operationId: string, form: ErrorForm, security: readonly Json[]): Json {
  return {
    operationId,
    tags: ['image caches'],
    summary: form === 'problem' ? 'The image caches' : "The image caches, for the vendor's SDKs",
    description:
      'The whole list, or with `name` the image caches of just this name, which may be none. The list is the same for every caller who may have it. `Cache-Control: no-cache` from a token with the refresh scope has it loaded again, once a second at most. With `Accept-Encoding` it comes compressed by brotli or gzip, under an ETag of its own.',
    security,
    parameters: [ref('parameters', 'Name'), ref('parameters', 'IfNoneMatch')],
    responses: {
      200: {
        description: 'The list.',
        headers: LIST_HEADERS,
        content: content('application/json', 'ImageCacheList', { image_caches: [IMAGE_CACHE_EXAMPLE] }),
      },
      304: {
        description: 'Nothing has changed since the list with this ETag.',
        headers: LIST_HEADERS,
      },
      ...problemResponses(LIST_CODES, form),
    },
  };
}
