import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { hasRedisServer } from './redis-server.ts';
import { always, closeAll, entry, openClient, openStore, startServer, takeTurn } from './test-store.ts';

/** Who loads says so again after this time. */
const RENEW_MS = 700;
const PASSWORD = 'Planted%/#@,?RedisPassword0005';
const CREDENTIAL = { accessKeyId: 'AK1', secretAccessKey: 'PlantedSecretKey0005' };
/** The rules of the user in docs/replicas.md. */
const RULE = /^ACL SETUSER (?<name>\S+) on >password (?<rules>.+)$/m;
const page = await readFile(new URL('../../../../docs/replicas.md', import.meta.url), 'utf8');
const { name = '', rules = '' } = RULE.exec(page)?.groups ?? {};
const COMMANDS = Array.from(rules.matchAll(/\+(\S+)/g), ([, command]) => command as string);
/** What is done without, and how that is told. */
const SPARED: Readonly<Record<string, string>> = {
  eval: 'up scripting',
  publish: 'up channels',
  subscribe: 'up channels',
};

afterEach(closeAll);

/** A server with that user, and more rules for it. */
async function startWithUser(args: readonly string[] = [], ...more: readonly string[]) {
  const server = await startServer(args);
  const admin = await openClient(server.url);
  await admin.sendCommand(['ACL', 'SETUSER', name, 'on', `>${PASSWORD}`, ...rules.split(' '), ...more]);
  const url = server.url.replace('//', `//${name}:${encodeURIComponent(PASSWORD)}@`);
  /** How much was asked for that is not allowed. */
  const denied = async () => ((await admin.sendCommand(['ACL', 'LOG'])) as unknown as unknown[]).length;
  return { admin, url, denied };
}

/** All that the service does with Redis, by two instances. */
async function useAll(url: string): Promise<void> {
  const [one, two] = [openStore(url), openStore(url)];
  await Promise.all([one.changed(true), two.changed(true)]);
  for (const { states } of [one, two]) expect(states).toEqual(['up']);
  const told = two.sharedOnce();
  const turn = await takeTurn(one, 'web');
  const waiting = await two.entries.lookUp('web', always);
  if (waiting.state !== 'taken') throw new Error(waiting.state);
  one.fire(RENEW_MS);
  await expect.poll(() => one.used).toEqual(['look_up:ok', 'look_up:ok']);
  const put = entry('a list');
  await turn.settle(put);
  expect(await told).toBe('web');
  await waiting.changed;
  expect(await two.entries.lookUp('web', always)).toEqual({ state: 'served' });
  expect(await two.entries.get('web')).toEqual(put);
  await (await takeTurn(two, 'api')).settle();
  two.entries.discard('web');
  await expect.poll(() => two.entries.get('web')).toBeUndefined();
  expect(await one.use.add([{ key: 'a', addedMs: 30_000 }], 60_000)).toEqual([30_000]);
  expect((await two.use.add([{ key: 'a', addedMs: 20_000 }], 60_000))[0]).toBeGreaterThan(30_000);
  const known = { isAccepted: false, isClockCorrected: false };
  const permission = await one.keyProofs.enter(CREDENTIAL, known, 39_000);
  if (typeof permission !== 'object') throw new Error(permission);
  await permission.leave('rejected');
  expect(await two.keyProofs.enter(CREDENTIAL, known, 39_000)).toBe('locked_out');
  for (const { used } of [one, two]) expect(used.filter((use) => !use.endsWith(':ok'))).toEqual([]);
}

describe.skipIf(!hasRedisServer())('the user of docs/replicas.md', () => {
  it('is all that is needed: everything works, and nothing is denied', async () => {
    const { url, denied } = await startWithUser();
    await useAll(url);
    expect(await denied()).toBe(0);
  });

  it('with select, in another database', async () => {
    const { url, denied } = await startWithUser([], '+select');
    await useAll(`${url}/3`);
    expect(await denied()).toBe(0);
  });

  it('with cluster slots, in a cluster', async () => {
    const { admin, url, denied } = await startWithUser(['--cluster-enabled', 'yes'], '+cluster|slots');
    await admin.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    while (!String(await admin.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
    await useAll(`${url},${url}`);
    expect(await denied()).toBe(0);
  });

  it.each(COMMANDS)('without %s: the store says so', async (command) => {
    const { url } = await startWithUser([], `-${command}`);
    const store = openStore(url);
    const state = SPARED[command] ?? 'down NOPERM';
    await store.changed(state.startsWith('up'));
    expect(store.states).toEqual([state]);
    expect(store.logger.lines).toMatchObject([
      { level: 'warn', fields: { commands: [command.toUpperCase()] } },
    ]);
  });

  it.each([
    ['keys', 'resetkeys', 'down NOPERM'],
    ['channels', 'resetchannels', 'up channels'],
  ])('without its %s: the store says so', async (_what, rule, state) => {
    const { url } = await startWithUser([], rule);
    const store = openStore(url);
    await store.changed(state.startsWith('up'));
    expect(store.states).toEqual([state]);
  });

  it('is read from the page', () => {
    expect(COMMANDS).toHaveLength(12);
  });
});
