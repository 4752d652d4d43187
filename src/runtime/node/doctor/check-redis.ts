import type { SharedStoreConfig } from '../../../config/config.ts';
import { explainRedisUrl, parseRedisUrl } from '../../../config/redis-url.ts';
import type { SharedFault, SharedLack } from '../../../observability/metrics.ts';
import { readTextFile } from '../platform/read-text-file.ts';
import { faultOf } from '../redis/redis-fault.ts';
import { openRedisSession, type RedisSession } from '../redis/redis-session.ts';
import { codeOf, within } from './check-network.ts';
import { failed, type Outcome, ok, warning } from './findings.ts';

/** A round trip longer than this is longer than the service waits: 50 ms. */
const SLOW_MS = 50;
const SEE_PERMISSIONS = 'docs/replicas.md has the permissions that are needed.';
const CHECK_PASSWORD =
  'Check REDIS_URL or the file it comes from. Sentinels may ask for a password of their own: sentinel_password.';

/** How a fault is put right. */
const REMEDIES: Partial<Record<SharedFault, string>> = {
  WRONGPASS: CHECK_PASSWORD,
  NOAUTH: CHECK_PASSWORD,
  NOPERM: `Grant what is missing. ${SEE_PERMISSIONS}`,
  OOM: 'It is full, and evicts nothing: give it more memory, or another maxmemory-policy.',
  READONLY: 'This is a replica: REDIS_URL has to lead to the primary.',
  MASTERDOWN: 'This is a replica, and its primary is gone.',
  MOVED: 'This is a node of a cluster: name several of its nodes in REDIS_URL, comma-separated.',
};
const OTHER_REMEDY = 'docs/operate.md says at ImageCachesSharedStoreDown what the word means.';

/**
 * Does Redis answer, with this password and in time, and does each command of the service work? Never rejects.
 *
 * @param start the namespace of the service's keys
 */
export async function checkRedis({ url, file }: SharedStoreConfig, start: string): Promise<Outcome> {
  let session: RedisSession | undefined;
  try {
    const text = file === undefined ? url : (await readTextFile(file)).trim();
    const location = parseRedisUrl(text);
    if (location === undefined)
      return failed(
        `REDIS_URL ${explainRedisUrl(text) ?? 'is not valid'}`,
        'See docs/replicas.md for its forms.',
      );
    const firstError = Promise.withResolvers<never>();
    firstError.promise.catch(() => undefined);
    // The session would go on trying; here the first failure says enough.
    session = openRedisSession(location, { onReady: () => undefined, onError: firstError.reject });
    await within(Promise.race([session.connect(), firstError.promise]));
    return await tryCommands(session, start);
  } catch (error) {
    return explain(error);
  } finally {
    session?.end();
  }
}

async function tryCommands(session: RedisSession, start: string): Promise<Outcome> {
  const subscription = { channel: async () => start, onMessage: () => undefined };
  const { fault, commands, lacks } = await within(session.tryAll(start, [subscription]));
  if (fault !== undefined)
    return failed(`it does not work: ${fault} for ${commands.join(', ')}`, REMEDIES[fault] ?? OTHER_REMEDY);
  const begunMs = performance.now();
  await within(session.commands.time());
  const ms = Math.ceil(performance.now() - begunMs);
  if (ms > SLOW_MS)
    return warning(`it answers in ${ms} ms`, 'The service does not wait that long: bring Redis nearer.');
  if (lacks.length > 0) return explainLacks(lacks, commands);
  return ok(`it answers in ${ms} ms, and every command that is needed works`);
}

function explainLacks(lacks: readonly SharedLack[], commands: readonly string[]): Outcome {
  return warning(
    `it forbids ${commands.join(' and ')}: the service goes on without ${lacks.join(' and ')}`,
    SEE_PERMISSIONS,
  );
}

function explain(error: unknown): Outcome {
  const fault = faultOf(error);
  if (fault === 'WRONGPASS' || fault === 'NOAUTH')
    return failed('it refuses the user or the password', CHECK_PASSWORD);
  if (fault !== 'unreachable' && fault !== 'other')
    return failed(`it does not work: ${fault}`, REMEDIES[fault] ?? OTHER_REMEDY);
  return failed(
    `it does not answer (${codeOf(error)})`,
    'Check the host and port in REDIS_URL, TLS (rediss://), and the network policy.',
  );
}
