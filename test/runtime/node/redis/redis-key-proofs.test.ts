import { afterEach, describe, expect, it } from 'vitest';
import type { KeyKnowledge } from '../../../../src/fleet/key-proofs.ts';
import { hasRedisServer } from './redis-server.ts';
import { closeAll, openClient, openStore, startServer, type TestStore } from './test-store.ts';

/** A call has 8 seconds, 1 more for what is late, and 30 in which its answer is read. */
const LEASE_MS = 39_000;
const KEY = {
  accessKeyId: 'PLANTEDAK000006',
  secretAccessKey: 'PlantedSecretKey0006',
  securityToken: 'PlantedToken0006',
};
const UNKNOWN: KeyKnowledge = { isAccepted: false, isClockCorrected: false };
const ACCEPTED: KeyKnowledge = { isAccepted: true, isClockCorrected: false };
const CORRECTED: KeyKnowledge = { isAccepted: false, isClockCorrected: true };

afterEach(closeAll);

async function openStores(count: number) {
  const server = await startServer();
  const stores = Array.from({ length: count }, () => openStore(server.url));
  await Promise.all(stores.map((store) => store.changed(true)));
  return { server, stores: stores as [TestStore, ...TestStore[]] };
}

async function enter({ keyProofs }: TestStore, known = UNKNOWN, credential: typeof KEY = KEY) {
  const answer = await keyProofs.enter(credential, known, LEASE_MS);
  return typeof answer === 'object' ? answer : { answer, leave: async () => undefined };
}

const outcome = async (...args: Parameters<typeof enter>) => {
  const entered = await enter(...args);
  return 'answer' in entered ? entered.answer : 'ours';
};

describe.skipIf(!hasRedisServer())('replicas on one Redis', () => {
  it('prove a key by one call, and use it together once it was accepted', async () => {
    const { stores } = await openStores(10);
    const entered = await Promise.all(stores.map((store) => enter(store)));
    const ours = entered.filter((one) => !('answer' in one));
    expect(ours.length).toBeLessThanOrEqual(1);
    const first = ours[0] ?? (await enter(stores[0]));
    expect(await outcome(stores[1] as TestStore)).toBe('busy');
    await first.leave('accepted');
    const answers = await Promise.all(stores.slice(0, 4).map((store) => outcome(store)));
    expect(answers).toContain('ours');
    expect(answers).not.toContain('locked_out');
  });

  it('leave a rejected key alone, but for the one whose clock was corrected by that', async () => {
    const { stores } = await openStores(2);
    const [one, two] = stores as unknown as [TestStore, TestStore];
    await (await enter(one)).leave('clock');
    expect(await outcome(two)).toBe('locked_out');
    expect(await outcome(one)).toBe('locked_out');
    const again = await enter(one, CORRECTED);
    expect(await outcome(two)).toBe('busy');
    await again.leave('accepted');
    expect(await outcome(two)).toBe('ours');
  });

  it('make no call with a key that was accepted while four calls of it were rejected or may be', async () => {
    const { stores } = await openStores(2);
    const [one, two] = stores as unknown as [TestStore, TestStore];
    await (await enter(one)).leave('accepted');
    const calls = [await enter(one, ACCEPTED), await enter(two, ACCEPTED), await enter(one, ACCEPTED)];
    await calls[0]?.leave('rejected');
    const fourth = await enter(two, ACCEPTED);
    expect(await outcome(one, ACCEPTED)).toBe('busy');
    await Promise.all([...calls.slice(1), fourth].map((call) => call.leave('rejected')));
    for (const store of [one, two]) {
      expect(await outcome(store, ACCEPTED)).toBe('locked_out');
      expect(await outcome(store, CORRECTED)).toBe('locked_out');
    }
    // Another secret of the same access key id adds up with it; another id does not.
    expect(await outcome(two, UNKNOWN, { ...KEY, secretAccessKey: 'another' })).toBe('locked_out');
    expect(await outcome(two, UNKNOWN, { ...KEY, accessKeyId: 'ANOTHER' })).toBe('ours');
  });

  it('write nothing of the key into Redis, and nothing that stays', async () => {
    const { server, stores } = await openStores(1);
    await (await enter(stores[0])).leave('rejected');
    await enter(stores[0], CORRECTED);
    const client = await openClient(server.url);
    const names = (await client.keys('*')).filter((name) => !name.includes(':trial'));
    expect(names).toHaveLength(1);
    const [name = ''] = names;
    const all = JSON.stringify([name, await client.hGetAll(name)]);
    for (const secret of Object.values(KEY)) expect(all).not.toContain(secret);
    expect(await client.pTTL(name)).toBeGreaterThan(86_000_000);
    expect(await client.pTTL(name)).toBeLessThanOrEqual(86_400_000);
  });

  it('take what others have written there, whatever it is', async () => {
    const { server, stores } = await openStores(1);
    await (await enter(stores[0])).leave('accepted');
    const client = await openClient(server.url);
    const [name = ''] = (await client.keys('imagecaches-bff:key:*')) as string[];
    await client.hSet(name, {
      'call:x': 'nonsense',
      'call:y': 'd 1 1e400',
      'rejection:x': 'NaN',
      'rejection:y': '99999999999999',
      'count:x': '-1',
    });
    expect(await outcome(stores[0])).toBe('ours');
    await client.del(name);
    await client.set(name, 'another type');
    expect(await outcome(stores[0])).toBeUndefined();
  });

  it('go by what they know themselves while Redis is gone', async () => {
    const { server, stores } = await openStores(1);
    await server.stop();
    await stores[0].changed(false);
    expect(await outcome(stores[0])).toBeUndefined();
  });
});
