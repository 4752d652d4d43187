/**
 * The service as src/runtime/node.ts starts it, with some of its time in the hands of a test, so that the test does not depend
 * on how fast the machine is:
 *
 * - TEST_HELD_TIMERS_MS: timers of these delays, comma-separated, wait; SIGUSR2 lets them go.
 * - TEST_CLOCK_STEP_MS: SIGUSR2 moves the clocks so far ahead instead, when no held timer waits; these wait for ever.
 *
 * Each SIGUSR2 is confirmed by a line of the output with the message `moved on`.
 */
const { TEST_HELD_TIMERS_MS = '', TEST_CLOCK_STEP_MS = '0' } = process.env;
const heldDelays = new Set(TEST_HELD_TIMERS_MS.split(',').map(Number));
const stepMs = Number(TEST_CLOCK_STEP_MS);

const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;
const realNow = Date.now;
const realElapsed = performance.now.bind(performance);
const held = new Map<NodeJS.Timeout, () => void>();
let aheadMs = 0;

/** Longer than any test. */
const NEVER_MS = 3_600_000;

globalThis.setTimeout = ((callback: () => void, delayMs?: number, ...args: []) => {
  if (delayMs === undefined || !heldDelays.has(delayMs)) return realSetTimeout(callback, delayMs, ...args);
  const timer = realSetTimeout(() => undefined, NEVER_MS);
  held.set(timer, () => callback(...args));
  return timer;
}) as typeof setTimeout;
globalThis.clearTimeout = ((timer?: NodeJS.Timeout) => {
  if (timer !== undefined) held.delete(timer);
  realClearTimeout(timer);
}) as typeof clearTimeout;
Date.now = () => realNow() + aheadMs;
performance.now = () => realElapsed() + aheadMs;

process.on('SIGUSR2', async () => {
  if (stepMs > 0) {
    // What a held timer bounds is under way, and would find itself in another time.
    while (held.size > 0) await new Promise((resolve) => setImmediate(resolve));
    aheadMs += stepMs;
  } else
    for (const [timer, callback] of held) {
      clearTimeout(timer);
      callback();
    }
  process.stdout.write('{"msg":"moved on"}\n');
});

await import('../../src/runtime/node.ts');
