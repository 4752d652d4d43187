import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { imageCachesLoader } from '../../src/imagecaches/load.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { UpstreamClient } from '../../src/upstream/client.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';

const ENTRIES = makeImageCaches(2);
const textOf = ({ body }: LoadedBody) => new TextDecoder().decode(body);

/** A loader whose upstream answers with what `answer` holds. */
function setUp() {
  const logger = createRecordingLogger();
  const counted: [member: string, count: number][] = [];
  const answer = { entries: ENTRIES as readonly unknown[] };
  const upstream: UpstreamClient = {
    standing: 'accepted',
    get: async (_path, _query, decode) =>
      decode(new TextEncoder().encode(JSON.stringify({ image_caches: answer.entries }))),
  };
  const metrics = {
    ...NO_METRICS,
    entriesDropped: (member: string, count: number) => counted.push([member, count]),
  };
  const load = imageCachesLoader(upstream, { logger, metrics });
  return { answer, counted, load, lines: logger.lines };
}

describe('a list that comes again as it was', () => {
  it('is not made a second time, of each name and of the whole', async () => {
    const { answer, load } = setUp();
    const [whole, web] = [await load(undefined), await load('web')];
    expect(await load(undefined)).toBe(whole);
    expect(await load('web')).toBe(web);
    expect(whole.filter).toBeDefined();
    expect(web.filter).toBeUndefined();

    answer.entries = ENTRIES.slice(1);
    const shorter = await load(undefined);
    expect(textOf(shorter)).not.toBe(textOf(whole));
    expect(await load(undefined)).toBe(shorter);
    // Only the last one is known.
    answer.entries = ENTRIES;
    const again = await load(undefined);
    expect(textOf(again)).toBe(textOf(whole));
    expect(again).not.toBe(whole);
  });

  it('is counted and logged with what was dropped of it each time', async () => {
    const { answer, counted, lines, load } = setUp();
    answer.entries = [...ENTRIES, { ...ENTRIES[0], id: '' }];
    const first = await load(undefined);
    expect(await load(undefined)).toBe(first);
    expect(counted).toEqual([
      ['id', 1],
      ['id', 1],
    ]);
    const line = {
      level: 'warn',
      message: 'entries that break the model were dropped',
      fields: { dropped: 1, members: { id: 1 }, first: [{ index: 2, member: 'id' }] },
    };
    expect(lines).toEqual([line, line]);
  });

  it('fails each time where all of it breaks the model', async () => {
    const { answer, counted, load } = setUp();
    const known = await load(undefined);
    answer.entries = [{ id: '' }];
    for (let time = 0; time < 2; time += 1)
      await expect(load(undefined)).rejects.toMatchObject({ reason: 'not_the_model' });
    expect(counted).toEqual([
      ['id', 1],
      ['id', 1],
    ]);
    answer.entries = ENTRIES;
    expect(await load(undefined)).toBe(known);
  });

  it.each([
    [1, true],
    [2, false],
  ])('is known after %i others of 2.4 MB: %s', async (others, isKnown) => {
    const { answer, load } = setUp();
    const first = await load('first');
    // A text of 0.8 MB, with two bytes a character, and as many bytes are made of it; 4 MiB are kept.
    answer.entries = [{ ...ENTRIES[0], images: Array(200).fill('i'.repeat(4000)) }];
    for (let other = 0; other < others; other += 1) await load(`other-${other}`);
    answer.entries = ENTRIES;
    expect((await load('first')) === first).toBe(isKnown);
  });
});
