import type { Situation } from './situation.ts';

const LOOK_MS = 20;

/**
 * Notices when the machine does not let this process run, as long as the work takes: also after the end of a stretch,
 * while the last answers are waited for.
 */
export async function watchStallsDuring<Value>(
  situation: Situation,
  work: () => Promise<Value>,
): Promise<Value> {
  situation.runs(Date.now());
  const timer = setInterval(() => situation.runs(Date.now()), LOOK_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    situation.isIdle();
  }
}
