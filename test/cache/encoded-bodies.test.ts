import { describe, expect, it } from 'vitest';
import { createEncodedBodies } from '../../src/cache/encoded-bodies.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';

/** Compressed from 1 KiB on. */
const LEAST_ENCODED_BYTES = 1024;

const MIB = 1_048_576;
const responseOf = (bytes: number, etag = `"${'0'.repeat(32)}"`) => ({
  body: new Uint8Array(bytes),
  etag,
  begunAtMs: 0,
  storedAtMs: 0,
  freshUntilMs: 1,
});

/** Each call to compress waits until it is let go. */
function setUp(maxBytes = MIB, encodedBytes = 100) {
  const calls: { readonly coding: string; readonly finish: () => void; readonly fail: () => void }[] = [];
  const bodies = createEncodedBodies(maxBytes, {
    createSingleFlight: createSharedFlight,
    compress: (_body, coding) =>
      new Promise((resolve, reject) => {
        calls.push({
          coding,
          finish: () => resolve(new Uint8Array(encodedBytes)),
          fail: () => reject(new Error('no memory')),
        });
      }),
  });
  return { bodies, calls };
}

describe('compressed bodies', () => {
  it('are made once for all who ask, and are there at once after that', async () => {
    const { bodies, calls } = setUp();
    const response = responseOf(5000);
    const asked = Promise.all([bodies.get(response, 'br'), bodies.get(response, 'br')]);
    await Promise.resolve();
    expect(calls.map(({ coding }) => coding)).toEqual(['br']);
    calls[0]?.finish();
    const [first, second] = await asked;
    expect(first).toBe(second);
    expect(first).toMatchObject({ coding: 'br', etag: `"${'0'.repeat(32)}-br"` });
    expect(bodies.get(response, 'br')).toBe(first);
    expect(calls).toHaveLength(1);
  });

  it('are kept for each coding', async () => {
    const { bodies, calls } = setUp();
    const asked = [bodies.get(responseOf(5000), 'br'), bodies.get(responseOf(5000), 'gzip')];
    await Promise.resolve();
    for (const call of calls) call.finish();
    expect((await Promise.all(asked)).map(({ coding }) => coding)).toEqual(['br', 'gzip']);
  });

  it('are found again for a list that a refresh found unchanged', async () => {
    const { bodies, calls } = setUp();
    const asked = bodies.get(responseOf(5000), 'gzip');
    await Promise.resolve();
    calls[0]?.finish();
    const representation = await asked;
    expect(bodies.get(responseOf(5000), 'gzip')).toBe(representation);
    expect(bodies.get(responseOf(5000, `"${'1'.repeat(32)}"`), 'gzip')).toBeInstanceOf(Promise);
  });

  it('are not made of what fits one packet', () => {
    const { bodies, calls } = setUp();
    const small = responseOf(LEAST_ENCODED_BYTES - 1);
    expect(bodies.get(small, 'br')).toBe(small);
    expect(calls).toEqual([]);
    expect(bodies.get(responseOf(LEAST_ENCODED_BYTES), 'br')).toBeInstanceOf(Promise);
  });

  it('take a quarter of what lists may take, and the oldest go first', async () => {
    const { bodies, calls } = setUp(4000, 400);
    const etags = ['a', 'b', 'c'].map((digit) => `"${digit.repeat(32)}"`);
    for (const etag of etags) {
      const asked = bodies.get(responseOf(5000, etag), 'br');
      await Promise.resolve();
      calls.at(-1)?.finish();
      await asked;
    }
    const isKept = etags.map((etag) => !(bodies.get(responseOf(5000, etag), 'br') instanceof Promise));
    expect(isKept).toEqual([false, true, true]);
  });

  it('can be looked at without being made', async () => {
    const { bodies, calls } = setUp();
    const response = responseOf(5000);
    const small = responseOf(LEAST_ENCODED_BYTES - 1);
    expect(bodies.peek(small, 'br')).toBe(small);
    expect(bodies.peek(response, 'br')).toBeUndefined();
    const asked = bodies.get(response, 'br');
    await Promise.resolve();
    expect(bodies.peek(response, 'br')).toBeUndefined();
    calls[0]?.finish();
    const representation = await asked;
    expect(bodies.peek(response, 'br')).toBe(representation);
    expect(bodies.peek(response, 'gzip')).toBeUndefined();
    expect(calls).toHaveLength(1);
  });

  it('are tried again after a failure', async () => {
    const { bodies, calls } = setUp();
    const failing = bodies.get(responseOf(5000), 'br');
    await Promise.resolve();
    calls[0]?.fail();
    await expect(failing).rejects.toThrow('no memory');
    const asked = bodies.get(responseOf(5000), 'br');
    await Promise.resolve();
    calls[1]?.finish();
    expect((await asked).coding).toBe('br');
  });
});
