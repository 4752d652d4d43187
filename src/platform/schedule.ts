/** Stops a scheduled call that has not happened yet. Calling it again, or too late, does nothing. */
export type Cancel = () => void;

/** Calls back once after `delayMs` milliseconds. */
export type Schedule = (callback: () => void, delayMs: number) => Cancel;
