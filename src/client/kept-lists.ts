import type { ImageCache } from './read-list.ts';

export interface KeptList {
  readonly etag: string;
  readonly imageCaches: readonly ImageCache[];
}

export interface KeptLists {
  readonly get: (url: string) => KeptList | undefined;
  /** Keeps a list as the one that was used last. */
  readonly keep: (url: string, list: KeptList) => void;
}

/** Lists by URL, at most `maxLists` of them: the one that was used longest ago goes first. 0: none is kept. */
export function createKeptLists(maxLists: number): KeptLists {
  /** The one that was used last is last. */
  const lists = new Map<string, KeptList>();
  return {
    get: (url) => lists.get(url),
    keep: (url, list) => {
      lists.delete(url);
      lists.set(url, list);
      const [oldest] = lists.keys();
      if (lists.size > maxLists && oldest !== undefined) lists.delete(oldest);
    },
  };
}
