import type { Schedule } from '../platform/schedule.ts';

/** Resolves after `ms` milliseconds; without a timer for 0 or less. */
export async function wait(ms: number, schedule: Schedule): Promise<void> {
  if (ms > 0) await new Promise<void>((resolve) => schedule(resolve, ms));
}
