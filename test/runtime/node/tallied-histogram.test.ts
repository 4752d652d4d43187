import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { TalliedHistogram } from '../../../src/runtime/node/telemetry/tallied-histogram.ts';

const OPTIONS = { name: 'a_seconds', help: 'A.', labelNames: ['route'] as const, buckets: [0.5, 1, 10] };

it("is rendered as prom-client's own histogram of the same values", async () => {
  const value = fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(0, 0.5, 1, 10));
  const observations = fc.array(fc.tuple(fc.constantFrom('a', 'b"\\\n'), value), {
    minLength: 1,
    maxLength: 300,
  });
  await fc.assert(
    fc.asyncProperty(observations, async (all) => {
      const [ours, theirs] = [new Registry(), new Registry()];
      const tallied = new TalliedHistogram(OPTIONS, ours);
      const reference = new Histogram({ ...OPTIONS, labelNames: ['route'], registers: [theirs] });
      const series = new Map<string, ReturnType<typeof tallied.addSeries>>();
      for (const [route, seconds] of all) {
        const one = series.get(route) ?? tallied.addSeries({ route });
        series.set(route, one);
        one.observe(seconds);
        reference.observe({ route }, seconds);
      }
      expect(await ours.metrics()).toBe(await theirs.metrics());
    }),
    { numRuns: 50 },
  );
});
