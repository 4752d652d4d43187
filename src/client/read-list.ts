/** One image cache. */
export interface ImageCache {
  readonly id: string;
  readonly name: string;
  /** Available, Unavailable, Creating, Deleting, Failed, a later word of the vendor's, or Unknown. */
  readonly status: string;
  /** References of the cached images. */
  readonly images: readonly string[];
  /** GiB. */
  readonly image_cache_size: number;
  /** Days; 0: kept for ever. */
  readonly retention_days: number;
  /** RFC 3339 in UTC, to the microsecond. */
  readonly created_at: string;
  /** The same; null when it is kept for ever. */
  readonly expires_at: string | null;
}

const isString = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number';

const MEMBERS: Readonly<Record<keyof ImageCache, (value: unknown) => boolean>> = {
  id: isString,
  name: isString,
  status: isString,
  images: (value) => Array.isArray(value) && value.every(isString),
  image_cache_size: isNumber,
  retention_days: isNumber,
  created_at: isString,
  expires_at: (value) => value === null || isString(value),
};

/** The entries of a body; undefined when it is not one of the service's. Members that are added later are let pass. */
export function readList(text: string): readonly ImageCache[] | undefined {
  const body = parseJson(text);
  const entries = isObject(body) ? body.image_caches : undefined;
  return Array.isArray(entries) && entries.every(isImageCache) ? entries : undefined;
}

function isImageCache(value: unknown): value is ImageCache {
  return isObject(value) && Object.entries(MEMBERS).every(([name, isGood]) => isGood(value[name]));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
