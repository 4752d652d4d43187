/**
 * The Node entry: `node src/runtime/node.ts [--check]`. All settings come from the environment.
 * Exit codes: 0 stopped as asked, 1 could not start or broke, 78 bad configuration (EX_CONFIG of sysexits.h).
 */
import { listenForStop } from './node/stop-signals.ts';

// First, and before the rest is loaded: as process 1 of a container a signal that nobody listens for is lost.
const signals = listenForStop();
const { main } = await import('./node/main.ts');
await main(signals);
