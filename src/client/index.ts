export {
  type ClientOptions,
  createClient,
  type ImageCacheList,
  type ImageCachesClient,
  type RequestOptions,
} from './create-client.ts';
export { ImageCachesProblem, type ProblemCode, UnexpectedAnswerError } from './errors.ts';
export type { ImageCache } from './read-list.ts';
