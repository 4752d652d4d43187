/**
 * A wall clock that has run ahead of elapsed time by more than this, since something was noted, makes its age doubtful: the
 * machine was suspended, or the clock set. 5 seconds.
 */
export const WALL_AHEAD_MS = 5000;
