import fc from 'fast-check';
import { it } from 'vitest';
import { COMMAND } from './model/commands.ts';
import { checkHealing } from './model/healing.ts';
import { ROOMY_ENTRIES } from './model/service-facts.ts';
import { createServiceUnderTest } from './model/service-under-test.ts';

const IS_WORKERD = navigator.userAgent === 'Cloudflare-Workers';
/** Commands in all runs, about. CACHING_RULES_STEPS says otherwise, for a longer search; a turn of workerd's loop takes 1 ms. */
const STEPS = Number(process.env.CACHING_RULES_STEPS ?? (IS_WORKERD ? 500 : 10_000));
/** A run has from none to 60 of them. */
const MAX_COMMANDS = 60;
const RUNS = Math.ceil((2 * STEPS) / MAX_COMMANDS);
/**
 * CACHING_RULES_SEED=random searches further, and a number repeats the runs of a seed that has failed. Otherwise the runs are
 * the same each time: what a corner of the rules is worth is found out by a search, and not by a run for something else.
 */
const { CACHING_RULES_SEED = '20261129' } = process.env;
const SEED =
  CACHING_RULES_SEED === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(CACHING_RULES_SEED);
/** A failure is made as short as possible first. */
const TIMEOUT_MS = 600_000 + 10 * STEPS;

const SETTINGS = fc.record({
  maxEntries: fc.constantFrom(ROOMY_ENTRIES, ROOMY_ENTRIES, 3, 1),
  random: fc.constantFrom(0, 0.5),
  hasStore: fc.boolean(),
  signingMs: fc.constantFrom(0, 0, 0, 100),
});

/**
 * The whole service, with a scripted upstream and a clock that is moved, under commands in any order. The rules of the
 * contract are in model/: what has to hold of each call (guard-rules, load-rules), of each answer (answer-rules) and of each
 * read (expected-answer), and in the end that a healthy upstream heals everything (healing). They say what callers and
 * the vendor see, and nothing of how the cache does it.
 */
it(
  `keeps the rules of caching in ${RUNS} runs (seed ${SEED})`,
  async () => {
    const property = fc.asyncProperty(
      SETTINGS,
      fc.commands([COMMAND], { maxCommands: MAX_COMMANDS, size: 'max' }),
      async (settings, commands) => {
        const service = await createServiceUnderTest(settings);
        await fc.asyncModelRun(() => ({ model: {}, real: service }), commands);
        await checkHealing(service);
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: RUNS });
  },
  TIMEOUT_MS,
);
