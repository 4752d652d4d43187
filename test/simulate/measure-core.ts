import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { chooseLoadTool } from '../bench/load.ts';
import { startProcess } from '../runtime/node/running-process.ts';
import { startSimulator } from '../simulator/simulator.ts';

const SECONDS = 5;
const CONNECTIONS = 64;

/** How many hits a second one process answers, which is what one core does: the service has one thread for requests. */
export async function measureCore(): Promise<number> {
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const service = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '100000000',
    CACHE_TTL_SECONDS: '3600',
  });
  try {
    const [, port] = await service.printed(/"port":(\d+).*"msg":"listening"/);
    const url = `http://127.0.0.1:${port}/imagecaches`;
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    while ((await fetch(url, { headers })).status !== 200);
    const tool = await chooseLoadTool();
    const load = { url, headers, connections: CONNECTIONS };
    await tool.measure({ ...load, seconds: 2 });
    const { requestsPerSecond } = await tool.measure({ ...load, seconds: SECONDS });
    return requestsPerSecond;
  } finally {
    service.child.kill('SIGKILL');
    await service.exited;
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}
