import { MAX_IMAGE_CACHES, makeImageCaches } from '../simulator/image-cache-data.ts';
import type { Simulator } from '../simulator/simulator.ts';
import type { ListHistory } from './list-history.ts';
import type { RandomStream } from './random-stream.ts';
import { rest, type Span, type Stretch } from './stretch.ts';

const BETWEEN_CHANGES_MS: Span = [200, 3000];
const EMPTY_SHARE = 0.1;

export interface ListParts {
  readonly simulator: Simulator;
  readonly lists: ListHistory;
  readonly random: RandomStream;
}

/** Gives upstream another list, so that an answer tells from when it is. */
export function changeList({ simulator, lists, random }: ListParts): void {
  const length = random.next() < EMPTY_SHARE ? 0 : 1 + Math.floor(random.next() * MAX_IMAGE_CACHES);
  const imageCaches = makeImageCaches(length, Math.floor(random.next() * 2 ** 31));
  simulator.setImageCaches(imageCaches);
  lists.change(imageCaches, Date.now());
}

/** @returns how often the list was changed */
export async function changeListsUntilEnd(stretch: Stretch, parts: ListParts): Promise<number> {
  let changes = 0;
  while (await rest(parts.random.between(BETWEEN_CHANGES_MS), stretch)) {
    changeList(parts);
    changes += 1;
  }
  return changes;
}
