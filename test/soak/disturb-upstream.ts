import type { Simulator } from '../simulator/simulator.ts';
import type { RandomStream } from './random-stream.ts';
import type { Situation } from './situation.ts';
import type { Pace } from './soak-options.ts';
import { rest, type Stretch } from './stretch.ts';
import { FAULTS } from './upstream-faults.ts';

/** How many of the calls meet a fault, in one spell or another. */
const SHARES = [0.3, 0.7, 1];
/** Rules are laid out for so long, and for more calls than are made in it. */
const LAID_OUT_MS = 100;
const RULES = 10;

/** Upstream misbehaves in spells; between them it is left alone until it has to be well again, and for a while longer. */
export async function disturbUpstream(
  stretch: Stretch,
  pace: Pace,
  { simulator, situation, random }: { simulator: Simulator; situation: Situation; random: RandomStream },
): Promise<void> {
  for (;;) {
    const calmMs = situation.recoveryMs(Date.now()) + random.between(pace.calmMs);
    if (!(await rest(calmMs, stretch))) return;
    const share = random.oneOf(SHARES);
    const untilMs = Date.now() + random.between(pace.misbehaviourMs);
    situation.upstreamMisbehaves(Date.now());
    do {
      simulator.clearScript();
      simulator.script(
        ...Array.from({ length: RULES }, () => (random.next() < share ? random.oneOf(FAULTS) : {})),
      );
    } while ((await rest(LAID_OUT_MS, stretch)) && Date.now() < untilMs);
    simulator.clearScript();
    situation.upstreamBehaves(Date.now());
  }
}
