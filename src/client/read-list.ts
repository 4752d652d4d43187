type Guard<Value> = (value: unknown) => value is Value;

const isString: Guard<string> = (value) => typeof value === 'string';
const isNumber: Guard<number> = (value) => typeof value === 'number';
const isStringOrNull: Guard<string | null> = (value) => value === null || isString(value);
const isStrings: Guard<readonly string[]> = (value) => Array.isArray(value) && value.every(isString);

/** The members of an image cache and what each has to be. */
const MEMBERS = {
  id: isString,
  name: isString,
  /** Available, Unavailable, Creating, Deleting, Failed, a later word of the vendor's, or Unknown. */
  status: isString,
  /** References of the cached images. */
  images: isStrings,
  /** GiB. */
  image_cache_size: isNumber,
  /** Days; 0: kept for ever. */
  retention_days: isNumber,
  /** RFC 3339 in UTC, to the microsecond. */
  created_at: isString,
  /** The same; null when it is kept for ever. */
  expires_at: isStringOrNull,
};

type Guarded<Check> = Check extends Guard<infer Value> ? Value : never;

/** One image cache. */
export type ImageCache = { readonly [Name in keyof typeof MEMBERS]: Guarded<(typeof MEMBERS)[Name]> };

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
