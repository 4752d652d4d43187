import { readFile, rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type CredentialFiles, createFileProvider } from '../../src/credentials/file-provider.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { settle } from '../support/fake-clock.ts';
import { createSecretVolume, type SecretVolume } from '../support/secret-volume.ts';
import { createProviderDependencies } from './scripted-source.ts';

/** Files are read at most once a second. */
const CHECK_INTERVAL_MS = 1000;
/** A reading that hangs is given up after 1 second. */
const READ_TIMEOUT_MS = 1000;
/** A change of some files only counts once it was seen unchanged for 2 seconds. */
const SETTLE_MS = 2000;

const volumes: SecretVolume[] = [];
afterEach(async () => {
  for (const volume of volumes.splice(0)) await volume.remove();
});

const contents = (number: number) => ({
  ak: `PLANTEDaccess${number}\n`,
  sk: `PLANTEDsecret${number}\r\n`,
  token: ` PLANTEDtoken${number}`,
});
const credential = (number: number): Credential => ({
  accessKeyId: `PLANTEDaccess${number}`,
  secretAccessKey: `PLANTEDsecret${number}`,
  securityToken: `PLANTEDtoken${number}`,
});

async function mountSecret(): Promise<SecretVolume> {
  const volume = await createSecretVolume(contents(1));
  volumes.push(volume);
  return volume;
}

async function setUp() {
  const volume = await mountSecret();
  const context = createProviderDependencies();
  const provider = createFileProvider(
    credential(1),
    {
      accessKeyId: volume.file('ak'),
      secretAccessKey: volume.file('sk'),
      securityToken: volume.file('token'),
    },
    { ...context.deps, readTextFile: (path) => readFile(path, 'utf8') },
  );
  return { ...context, volume, provider };
}

/** Files in memory, so that a test sees each reading. */
function setUpScripted(files: CredentialFiles = { accessKeyId: 'ak', secretAccessKey: 'sk' }) {
  const context = createProviderDependencies();
  const texts: Record<string, string | undefined> = { ak: 'AK1', sk: 'SK1' };
  const script = { texts, readings: 0, beforeReading: (_reading: number) => {} };
  const provider = createFileProvider({ accessKeyId: 'AK1', secretAccessKey: 'SK1' }, files, {
    ...context.deps,
    readTextFile: async (path) => {
      script.readings += 1;
      script.beforeReading(script.readings);
      const text = texts[path];
      if (text === undefined) throw Object.assign(new Error('PLANTED'), { code: 'ENOENT' });
      return text;
    },
  });
  const pair = async () => {
    const { accessKeyId, secretAccessKey } = await provider.get();
    return `${accessKeyId} ${secretAccessKey}`;
  };
  return { ...context, ...script, script, provider, pair };
}

describe('a secret that Kubernetes mounts', () => {
  it('is followed through swaps of the link, whole and trimmed', async () => {
    const { provider, volume, clock, logger, loaded } = await setUp();
    const first = await provider.get();
    expect(first).toEqual({ ...credential(1), expiresAtMs: undefined });
    for (let number = 2; number <= 4; number += 1) {
      await volume.swap(contents(number));
      await clock.advance(CHECK_INTERVAL_MS);
      const next = await provider.get();
      expect(next).toEqual({ ...credential(number), expiresAtMs: undefined });
      expect(Object.isFrozen(next)).toBe(true);
      await clock.advance(CHECK_INTERVAL_MS);
      expect(await provider.get()).toBe(next);
    }
    expect(logger.lines.map(({ message }) => message)).toEqual(Array(3).fill('credential replaced'));
    expect(loaded).toHaveLength(4);
    expect(clock.pending).toBe(0);
  });

  it('is read at most once a second', async () => {
    const { provider, volume, clock } = await setUp();
    const first = await provider.get();
    await volume.swap(contents(2));
    await clock.advance(CHECK_INTERVAL_MS - 1);
    expect(provider.get()).toBe(first);
    await clock.advance(1);
    expect(await provider.get()).toMatchObject({ accessKeyId: 'PLANTEDaccess2' });
  });

  it('after a rejection is read at once; the same content is not another credential', async () => {
    const { provider, volume } = await setUp();
    const first = await provider.get();
    expect(await provider.reload(first)).toBe(false);
    await volume.swap(contents(2));
    const reloads = await Promise.all(Array.from({ length: 20 }, () => provider.reload(first)));
    expect(new Set(reloads)).toEqual(new Set([true]));
    expect(await provider.get()).toMatchObject({ accessKeyId: 'PLANTEDaccess2' });
    expect(await provider.reload(first)).toBe(true);
  });

  it('that is removed, emptied or spoilt keeps the last good one, and is logged once', async () => {
    const { provider, volume, clock, logger } = await setUp();
    const first = await provider.get();
    const check = async () => {
      await clock.advance(CHECK_INTERVAL_MS);
      return provider.get();
    };
    await rm(volume.file('..data'));
    for (let count = 0; count < 3; count += 1) expect(await check()).toBe(first);
    expect(await provider.reload(first)).toBe(false);
    expect(logger.lines).toMatchObject([
      { level: 'warn', fields: { reason: 'unreadable', error: { code: 'ENOENT' } } },
    ]);

    for (const spoilt of [
      { ...contents(2), ak: '' },
      { ...contents(2), sk: ' \n' },
      { ...contents(2), sk: 'PLANTED secret' },
      { ...contents(2), token: 'PLANTED\ntoken' },
    ]) {
      await volume.swap(spoilt);
      expect(await check()).toBe(first);
      expect(await provider.reload(first)).toBe(false);
    }
    await volume.swap(contents(3));
    expect(await check()).toMatchObject({ accessKeyId: 'PLANTEDaccess3' });
    expect(logger.lines.map(({ message }) => message)).toEqual([
      'the credential files are not usable: the last good credential stays in use',
      'the credential files are not usable: the last good credential stays in use',
      'the credential files are good again',
      'credential replaced',
    ]);
    expect(provider.usable()).toBe(true);
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });

  it('an empty token file means that there is no token', async () => {
    const { provider, volume, clock } = await setUp();
    await volume.swap({ ...contents(2), token: '\n' });
    await clock.advance(CHECK_INTERVAL_MS);
    expect(await provider.get()).toMatchObject({ accessKeyId: 'PLANTEDaccess2', securityToken: undefined });
  });
});

describe('two mounts that do not change together', () => {
  it('leave the old pair in use until the second follows', async () => {
    const { pair, clock, texts } = setUpScripted();
    texts.sk = 'SK2';
    expect(await pair()).toBe('AK1 SK1');
    await clock.advance(CHECK_INTERVAL_MS);
    expect(await pair()).toBe('AK1 SK1');
    texts.ak = 'AK2';
    await clock.advance(CHECK_INTERVAL_MS);
    expect(await pair()).toBe('AK2 SK2');
  });

  it('half a change that stays comes into use after 2 seconds', async () => {
    const { pair, clock, texts } = setUpScripted();
    texts.sk = 'SK2';
    expect(await pair()).toBe('AK1 SK1');
    await clock.advance(SETTLE_MS - 1);
    expect(await pair()).toBe('AK1 SK1');
    await clock.advance(CHECK_INTERVAL_MS);
    expect(await pair()).toBe('AK1 SK2');
  });

  it('half a change that goes on changing does not', async () => {
    const { pair, clock, texts } = setUpScripted();
    for (let number = 2; number < 6; number += 1) {
      texts.sk = `SK${number}`;
      expect(await pair()).toBe('AK1 SK1');
      await clock.advance(SETTLE_MS);
    }
    texts.sk = 'SK1';
    expect(await pair()).toBe('AK1 SK1');
    texts.sk = 'SK5';
    await clock.advance(SETTLE_MS);
    expect(await pair()).toBe('AK1 SK1');
  });

  it('half a change is used at once when the vendor has rejected the pair in use', async () => {
    const { pair, provider, texts } = setUpScripted();
    const first = await provider.get();
    texts.sk = 'SK2';
    expect(await provider.reload(first)).toBe(true);
    expect(await pair()).toBe('AK1 SK2');
    // And so is the other half.
    texts.ak = 'AK2';
    expect(await provider.reload(await provider.get())).toBe(true);
    expect(await pair()).toBe('AK2 SK2');
  });

  it('a key that is alone in a file needs no other to follow', async () => {
    const { pair, texts } = setUpScripted({ secretAccessKey: 'sk' });
    texts.sk = 'SK2';
    texts.ak = 'AK2';
    expect(await pair()).toBe('AK1 SK2');
  });
});

describe('a reading', () => {
  it('across a swap gives no mixed pair', async () => {
    const { pair, texts, script } = setUpScripted();
    // The id is read before the swap, the key after it.
    script.beforeReading = (reading) => {
      if (reading === 2) Object.assign(texts, { ak: 'AK2', sk: 'SK2' });
    };
    expect(await pair()).toBe('AK2 SK2');
  });

  it('of files that never stand still changes nothing, and ends', async () => {
    const { pair, texts, script, logger } = setUpScripted();
    script.beforeReading = (reading) => Object.assign(texts, { ak: `AK${reading}x`, sk: `SK${reading}x` });
    expect(await pair()).toBe('AK1 SK1');
    expect(logger.lines).toMatchObject([{ fields: { reason: 'changing' } }]);
    // Two files, read 4 times.
    expect(script.readings).toBe(8);
  });

  it('that hangs is given up after a second, and others are not held up', async () => {
    const context = createProviderDependencies();
    const provider = createFileProvider(
      credential(1),
      { accessKeyId: 'ak', secretAccessKey: 'sk' },
      { ...context.deps, readTextFile: () => new Promise(() => {}) },
    );
    const waiting = provider.get();
    await settle();
    expect(provider.get()).toEqual({ ...credential(1), expiresAtMs: undefined });
    await context.clock.advance(READ_TIMEOUT_MS - 1);
    expect(context.logger.lines).toEqual([]);
    await context.clock.advance(1);
    expect(await waiting).toEqual({ ...credential(1), expiresAtMs: undefined });
    expect(context.logger.lines).toMatchObject([
      { fields: { reason: 'unreadable', error: { code: 'timeout' } } },
    ]);
  });
});

it('in whatever order the files change: only what they have held is used, and soon what they hold', async () => {
  const number = fc.integer({ min: 1, max: 3 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 3000 }) }),
    fc.record({ kind: fc.constantFrom('ak' as const, 'sk' as const, 'both' as const), number }),
    fc.record({ kind: fc.constantFrom('get' as const, 'gone' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), number, number, async (steps, ak, sk) => {
      const { clock, texts, pair } = setUpScripted();
      const heldByFiles = new Set(['AK1 SK1']);
      for (const next of steps) {
        if (next.kind === 'advance') await clock.advance(next.ms);
        else if (next.kind === 'get') expect([...heldByFiles]).toContain(await pair());
        else {
          if (next.kind === 'gone') texts.ak = undefined;
          if (next.kind === 'ak' || next.kind === 'both') texts.ak = `AK${next.number}`;
          if (next.kind === 'sk' || next.kind === 'both') texts.sk = `SK${next.number}`;
          heldByFiles.add(`${texts.ak} ${texts.sk}`);
        }
      }
      Object.assign(texts, { ak: `AK${ak}`, sk: `SK${sk}` });
      for (let waitedMs = 0; waitedMs <= SETTLE_MS; waitedMs += CHECK_INTERVAL_MS) {
        await clock.advance(CHECK_INTERVAL_MS);
        await pair();
      }
      expect(await pair()).toBe(`AK${ak} SK${sk}`);
      Object.assign(texts, { ak: 'AK9', sk: 'SK9' });
      await clock.advance(CHECK_INTERVAL_MS);
      expect(await pair()).toBe('AK9 SK9');
    }),
    { numRuns: 50 },
  );
});
