/**
 * The Node entry: `node src/runtime/node.ts [--check]`. All settings come from the environment.
 * Exit codes: 0 stopped as asked, 1 could not start or broke, 78 bad configuration (EX_CONFIG of sysexits.h).
 *
 * It imports nothing before it can be stopped: the system drops a signal to process 1 that has no handler, and loading the
 * service takes several tenths of a second.
 */

/** Undefined while nothing is served yet: then there is nothing to finish. */
let stop: (() => Promise<void>) | undefined;
let signals = 0;

function onSignal(): void {
  signals += 1;
  // A check that was stopped has found nothing good.
  if (stop === undefined) process.exit(process.argv.includes('--check') ? 1 : 0);
  // A second signal means now.
  if (signals > 1) process.exit(1);
  void stop();
}

process.on('SIGTERM', onSignal);
process.on('SIGINT', onSignal);

const { main } = await import('./node/main.ts');
// Loading is one long turn of the event loop; what came meanwhile is heard in a whole turn after it.
for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
await main((stopService) => {
  stop = stopService;
});

export {};
