import type { SharedStoreConfig } from '../../../config/config.ts';
import { parseRedisUrl } from '../../../config/redis-url.ts';
import { readTextFile } from '../platform/read-text-file.ts';
import { openRedis } from '../redis/open-redis.ts';
import { codeOf, within } from './check-network.ts';
import { failed, type Outcome, ok, warning } from './findings.ts';

/** A round trip longer than this is longer than the service waits: 50 ms. */
const SLOW_MS = 50;

/** Does Redis answer, with this password, and in time? */
export async function checkRedis({ url, file }: SharedStoreConfig): Promise<Outcome> {
  const location = parseRedisUrl(file === undefined ? url : (await readTextFile(file)).trim());
  if (location === undefined) return failed('REDIS_URL is not valid', 'See docs/replicas.md for its forms.');
  const client = openRedis(location);
  // The client would go on trying; here the first failure says enough.
  const firstError = new Promise<never>((_resolve, reject) => client.on('error', reject));
  firstError.catch(() => undefined);
  try {
    await within(Promise.race([client.connect(), firstError]));
    const begunMs = performance.now();
    await within(client.eval("return 'here'", { keys: [], arguments: [] }));
    const ms = Math.ceil(performance.now() - begunMs);
    if (ms > SLOW_MS)
      return warning(`it answers in ${ms} ms`, 'The service does not wait that long: bring Redis nearer.');
    return ok(`it answers in ${ms} ms`);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (/WRONGPASS|NOAUTH|invalid password/i.test(message))
      return failed('it refuses the user or the password', 'Check REDIS_URL or the file it comes from.');
    if (/NOPERM/.test(message))
      return failed(
        'the user may not do what is needed',
        'It needs the commands HGETALL, SET, DEL, EVAL, PUBLISH and SUBSCRIBE on keys that begin with imagecaches-bff:.',
      );
    return failed(
      `it does not answer (${codeOf(error)})`,
      'Check the host and port in REDIS_URL, TLS (rediss://), and the network policy.',
    );
  } finally {
    try {
      await client.destroy();
    } catch {
      // It never was connected.
    }
  }
}
