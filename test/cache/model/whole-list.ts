/** Stands for the whole list where the model names lists; no name contains it. */
export const UNFILTERED_KEY = '*';

const RESOURCE = 'imagecaches/';

/** The key of a list in the shared store. */
export function toStoreKey(key: string): string {
  return RESOURCE + key;
}

/** The list that a key of the shared store stands for. */
export function fromStoreKey(storeKey: string): string {
  return storeKey.slice(RESOURCE.length);
}
