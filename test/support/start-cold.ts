import type { Simulator } from '../simulator/simulator.ts';

const PATH = '/v5/imagecaches';

/**
 * Starts a service that holds no list: the one call of its start fails, and is forgotten by the stand-in.
 *
 * @param start ends when the service is ready
 * @param calls one for each service that is started
 */
export async function startCold<Started>(
  simulator: Simulator,
  start: () => Promise<Started>,
  calls = 1,
): Promise<Started> {
  simulator.script({ match: { path: PATH }, answer: { kind: 'redirect' }, times: calls });
  const before = simulator.count(PATH);
  const started = await start();
  await simulator.received(before + calls, PATH);
  await simulator.idle();
  simulator.forgetRequests();
  return started;
}
