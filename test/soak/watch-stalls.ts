import type { Situation } from './situation.ts';
import { rest, type Stretch } from './stretch.ts';

const LOOK_MS = 20;

/** Notices when the machine does not let this process run. */
export async function watchStallsUntilEnd(stretch: Stretch, situation: Situation): Promise<void> {
  situation.begins(Date.now());
  while (await rest(LOOK_MS, stretch)) situation.runs(Date.now());
}
