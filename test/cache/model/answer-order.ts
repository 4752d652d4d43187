import { type GivenList, isSurelyOlder, servedText } from './given-lists.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** What one instance has said of each key, and what loads have told it: of two lists the one whose load began later counts. */
export interface AnswerOrder {
  /** The instance has answered a key with this, or a load of it has ended, here or in another replica that told. */
  note(key: string, given: GivenList, atMs: number): void;
  /** True when something newer was surely known of the key before that moment, which says something else. */
  isOutdated(key: string, given: GivenList, beforeMs: number): boolean;
  /** True when something that may be newer is known of the key, which says something else. */
  mayBeOutdated(key: string, given: GivenList): boolean;
}

interface Said {
  readonly given: GivenList;
  readonly atMs: number;
}

export function createAnswerOrder(): AnswerOrder {
  const saidOf = new Map<string, readonly Said[]>();
  // The list says something of every name.
  const all = (key: string): readonly Said[] =>
    [...new Set([key, UNFILTERED_KEY])].flatMap((each) => saidOf.get(each) ?? []);
  const isOther = (key: string, one: GivenList, other: GivenList): boolean =>
    servedText(one, key) !== servedText(other, key);

  return {
    note(key, given, atMs) {
      // What happens at one moment may happen in any order; of what was said before only the newest is of interest.
      const before = (saidOf.get(key) ?? []).filter((said) => said.atMs < atMs || said.given !== given);
      const kept = before.filter(
        ({ given: older, atMs: olderMs }) =>
          !before.some((newer) => newer.atMs < atMs && olderMs < atMs && isSurelyOlder(older, newer.given)),
      );
      saidOf.set(key, [...kept, { given, atMs }]);
    },
    isOutdated: (key, given, beforeMs) =>
      all(key).some(
        (said) => said.atMs < beforeMs && isSurelyOlder(given, said.given) && isOther(key, given, said.given),
      ),
    mayBeOutdated: (key, given) =>
      all(key).some((said) => !isSurelyOlder(said.given, given) && isOther(key, given, said.given)),
  };
}
