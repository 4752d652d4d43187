/**
 * Rules that are decided and not built yet. The change that builds one sets it to true in the same commit; from then on
 * the caching rules are checked with it.
 */
export const DECIDED_RULES: Readonly<Record<DecidedRule, boolean>> = {
  forcedLimitOfLoadedEntry: true,
  pauseOfLoadedEntry: true,
  staleListAnswersNames: true,
  newerWins: true,
  brokenListIsFault: true,
  attemptTimeoutStartsWhenSent: true,
};

export type DecidedRule =
  /** A forced read of a name whose fresh list was loaded within the last second makes no call. Today: it does. */
  | 'forcedLimitOfLoadedEntry'
  /** A list that is loaded for a name keeps its own pause and forced limit. Today: those of the name count. */
  | 'pauseOfLoadedEntry'
  /** A name is answered at once from a list in its stale-while-revalidate time. Today: it loads first. */
  | 'staleListAnswersNames'
  /** No name is answered from data older than an answer given before. Today: a stale name may follow a newer list. */
  | 'newerWins'
  /** A list in which every entry breaks the model is a failed call. Today: it is stored as an empty list. */
  | 'brokenListIsFault'
  /** A call has its whole attempt timeout from the moment it is sent. Today: waiting for its turn is part of it. */
  | 'attemptTimeoutStartsWhenSent';

/** Rules that the code misses in a corner. The change that repairs one sets it to true. */
export const MISSED_RULES: Readonly<Record<MissedRule, boolean>> = {
  sharedLifeIsOurs: true,
  oldSharedNameYieldsToList: true,
  rejectionEndsOlderSharedData: true,
  idRejectionsCountCallsUnderWay: true,
  sharedIsSaidWithoutList: true,
  replacedKeyIsForgotten: false,
};

export type MissedRule =
  /**
   * An entry of a replica with a longer fresh life is fresh for as long as one of this service. Today: it answers a miss,
   * without a call, for as long as it would there.
   */
  | 'sharedLifeIsOurs'
  /**
   * In an outage a name is answered from the list in the shared store when its own entry there is too old to be served.
   * Today: the old entry is taken in, and the list is not looked at.
   */
  | 'oldSharedNameYieldsToList'
  /**
   * Data that another replica stored before a rejection is not served more than 60 s after it. Today: it is, when it was
   * stored after an earlier rejection in the same row.
   */
  | 'rejectionEndsOlderSharedData'
  /**
   * An access key id has 4 rejections in 5 minutes at most. Today: calls under way with another secret of it are not
   * counted, so there may be more.
   */
  | 'idRejectionsCountCallsUnderWay'
  /**
   * A name that is loaded by itself, since the list that was loaded for it was not kept, is said to be shared when another
   * load had put it into the store. Today: it is said to be loaded and stored.
   */
  | 'sharedIsSaidWithoutList'
  /**
   * The rejection of a key ends no stale data once the key that replaced it was accepted. Today: it does for 60 s and more,
   * when the second attempt of a load could not be sent, so that the load ends with the rejection of the first.
   */
  | 'replacedKeyIsForgotten';
