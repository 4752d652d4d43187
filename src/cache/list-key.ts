/**
 * What names a list. Resource and target are at most 64 lower-case letters, digits and `-`; the name is at most 128
 * letters, digits, `.`, `_` and `-`. No other part of the service makes or takes apart a key.
 */
export interface ListKey {
  /** The target's name; undefined where the service has only one target. */
  readonly target: string | undefined;
  /** The resource, by the last segment of its path. */
  readonly resource: string;
  /** The name that the list is filtered by; undefined for the whole list. */
  readonly name: string | undefined;
}

/** Stands for the whole list. No name contains `*`. */
const WHOLE_LIST = '*';

const SEGMENT = /^[a-z0-9-]{1,64}$/;

/** Key in the cache of one instance: `imagecaches/web`, `imagecaches/*`, with `<target>/` in front of it where there are several. */
export function toCacheKey(key: ListKey): string {
  return key.target === undefined ? toSharedKey(key) : `${key.target}/${toSharedKey(key)}`;
}

/** Key in the store that replicas share, where each target has a namespace of its own: `imagecaches/web`, `imagecaches/*`. */
export function toSharedKey({ resource, name }: Pick<ListKey, 'resource' | 'name'>): string {
  return `${resource}/${name ?? WHOLE_LIST}`;
}

/** Takes apart a key of the shared store, which may be of any resource. */
export function parseSharedKey(key: string): Pick<ListKey, 'resource' | 'name'> {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  return { resource: key.slice(0, Math.max(0, slash)), name: name === WHOLE_LIST ? undefined : name };
}

/** Labels of metrics: the target, where it has a name. Never the name of a list: callers choose those. */
export function metricLabels({ target }: Pick<ListKey, 'target'>): { readonly target?: string } {
  return target === undefined ? {} : { target };
}

/**
 * Checks the parts that the service itself chooses: a key of another form would be ignored in messages of the shared
 * store.
 *
 * @throws TypeError
 */
export function checkListKey({ target, resource }: Pick<ListKey, 'target' | 'resource'>): void {
  for (const segment of target === undefined ? [resource] : [target, resource])
    if (!SEGMENT.test(segment)) throw new TypeError(`'${segment}' cannot be part of a list's key`);
}
