export type { ClientOptions, RequestOptions } from './client-options.ts';
export { createClient, type ImageCacheList, type ImageCachesClient } from './create-client.ts';
export { ImageCachesProblem, type ProblemCode, UnexpectedAnswerError } from './errors.ts';
export type { ImageCache } from './read-list.ts';
