import type { Schedule } from '../../platform/schedule.ts';

/** A timer of the request that sets it. */
export const schedule: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};
