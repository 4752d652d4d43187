import fc from 'fast-check';
import { it } from 'vitest';
import { COMMAND } from './model/commands.ts';
import { checkHealing } from './model/healing.ts';
import { ROOMY_ENTRIES } from './model/service-facts.ts';
import { createServiceUnderTest } from './model/service-under-test.ts';

const RUNS = Number(process.env.CACHING_RULES_RUNS ?? 300);
const COMMANDS = 60;

const SETTINGS = fc.record({
  maxEntries: fc.constantFrom(ROOMY_ENTRIES, ROOMY_ENTRIES, 3, 1),
  random: fc.constantFrom(0, 0.5),
  hasStore: fc.boolean(),
  signingMs: fc.constantFrom(0, 0, 0, 100),
});

it(`the rules of caching hold whatever happens (${RUNS} runs)`, async () => {
  let steps = 0;
  const property = fc.asyncProperty(
    SETTINGS,
    fc.commands([COMMAND], { maxCommands: COMMANDS, size: 'max' }),
    async (settings, commands) => {
      const service = await createServiceUnderTest(settings);
      await fc.asyncModelRun(() => ({ model: {}, real: service }), commands);
      await checkHealing(service);
      steps += [...commands].length;
    },
  );
  await fc.assert(property, { numRuns: RUNS });
  console.log('steps', steps);
}, 600_000);
