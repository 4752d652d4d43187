/** Requests a second: hits on a list of 50 entries with a log line each, on the machine of the README. */
export const DEFAULT_PER_CORE = 8000;
export const DEFAULT_SEED = 1;
