import type { Cause } from '../observability/trace-ids.ts';
import type { LoadedBody } from './cached-response.ts';
import { toCacheKey, toSharedKey } from './list-key.ts';
import type { EntrySource } from './response-cache.ts';

/** A resource whose lists are held, and its way to upstream. */
export interface ListResource {
  /** The target's name; undefined where the service has only one target. */
  readonly target?: string | undefined;
  /** The resource, by the last segment of its path: at most 64 lower-case letters, digits and `-`. */
  readonly resource: string;
  /**
   * Gets the list of one name from upstream, or the whole list for undefined.
   *
   * @param onLate called with a list that comes after the load was given up
   * @param cause the request that it is loaded for
   */
  readonly load: (
    name: string | undefined,
    onLate: (loaded: LoadedBody) => void,
    cause?: Cause,
  ) => Promise<LoadedBody>;
  /** Turns shared bytes back into what that load gave; undefined when it cannot have given them. */
  readonly revive: (name: string | undefined, body: Uint8Array<ArrayBuffer>) => LoadedBody | undefined;
}

/** The origin of one list: the whole one, or that of a name. */
export class ListSource implements EntrySource {
  readonly name: string | undefined;
  readonly key: string;
  readonly sharedKey: string;
  readonly standIn: ListSource | undefined;
  readonly #resource: ListResource;

  /** @param wholeList stands in for the list of a name */
  constructor(resource: ListResource, name: string | undefined, wholeList?: ListSource) {
    const key = { target: resource.target, resource: resource.resource, name };
    this.name = name;
    this.key = toCacheKey(key);
    this.sharedKey = toSharedKey(key);
    this.standIn = wholeList;
    this.#resource = resource;
  }

  load(onLate: (loaded: LoadedBody) => void, cause?: Cause): Promise<LoadedBody> {
    return this.#resource.load(this.name, onLate, cause);
  }

  revive(body: Uint8Array<ArrayBuffer>): LoadedBody | undefined {
    return this.#resource.revive(this.name, body);
  }
}
