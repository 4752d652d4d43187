import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import * as z from 'zod/mini';
import type { ImageCache } from '../../src/imagecaches/model.ts';
import { parseImageCaches } from '../../src/imagecaches/parse.ts';
import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { ImageCacheListSchema, ImageCacheSchema } from '../../src/imagecaches/schema.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';

const MEMBERS = [
  'id',
  'name',
  'status',
  'images',
  'image_cache_size',
  'retention_days',
  'created_at',
  'expires_at',
];

/** The example of the vendor's API page, in its shape. */
const ENTRY = {
  name: 'web-frontend',
  id: '65e89fc9-a4d6-11ef-97fc-0255ac100b0a',
  created_at: '2024-11-25 06:32:34.923248 +0000 UTC',
  images: ['registry.example.com/web/frontend:1.2', 'nginx@sha256:0123456789abcdef'],
  image_cache_size: 20,
  retention_days: 7,
  building_config: {
    cluster: '1f2e3d4c-a4d6-11ef-97fc-0255ac100b0a',
    image_pull_secrets: ['default:registry-secret'],
  },
  status: 'Available',
  message: '',
};

const without = (member: keyof typeof ENTRY) => {
  const { [member]: _left, ...rest } = ENTRY;
  return rest;
};

/** The body as it is sent. */
const bodyOf = (imageCaches: readonly ImageCache[]) =>
  new TextDecoder('utf-8', { fatal: true }).decode(serialiseImageCaches(imageCaches).body);

function only(entry: unknown): ImageCache {
  const { imageCaches, dropped } = sanitiseImageCaches([entry]);
  expect(dropped).toEqual([]);
  expect(imageCaches).toHaveLength(1);
  return imageCaches[0] as ImageCache;
}

describe('sanitiseImageCaches', () => {
  it("shows the contract's members, in its order, and nothing else", () => {
    const { imageCaches } = sanitiseImageCaches([ENTRY]);
    expect(bodyOf(imageCaches)).toBe(
      '{"image_caches":[{"id":"65e89fc9-a4d6-11ef-97fc-0255ac100b0a","name":"web-frontend","status":"Available",' +
        '"images":["registry.example.com/web/frontend:1.2","nginx@sha256:0123456789abcdef"],"image_cache_size":20,' +
        '"retention_days":7,"created_at":"2024-11-25T06:32:34.923248Z","expires_at":"2024-12-02T06:32:34.923248Z"}]}',
    );
  });

  it('gives equal text for equal entries, whatever the order of the members that came', () => {
    const reversed = Object.fromEntries(Object.entries(ENTRY).reverse());
    expect(bodyOf([only(reversed)])).toBe(bodyOf([only(ENTRY)]));
  });

  it('is sent as UTF-8 JSON, with nothing lost', () => {
    expect(bodyOf([])).toBe('{"image_caches":[]}');
    const { imageCaches } = sanitiseImageCaches([ENTRY, { ...ENTRY, images: ['漢\u{1f600}"\\'] }]);
    expect(bodyOf(imageCaches)).toBe(JSON.stringify({ image_caches: imageCaches }));
    expect(bodyOf(imageCaches)).toContain('漢\u{1f600}');
  });

  it('hides what the vendor adds tomorrow, at every level', () => {
    const marker = 'PLANTED';
    const entry = {
      ...ENTRY,
      building_config: { cluster: marker, image_pull_secrets: [marker], [marker]: marker },
      message: marker,
      owner: marker,
      [marker]: { [marker]: [marker] },
      expires_at: marker,
      toJSON: marker,
    };
    const text = JSON.stringify({ image_caches: [entry], next: marker, [marker]: marker }).replace(
      '"owner"',
      // Only text can have such a member: it must neither leak nor become a prototype.
      `"__proto__":{"status":"${marker}","images":["${marker}"]},"owner"`,
    );
    const { imageCaches, dropped } = sanitiseImageCaches(parseImageCaches(new TextEncoder().encode(text)));
    expect(dropped).toEqual([]);
    expect(imageCaches.map((imageCache) => Object.keys(imageCache))).toEqual([MEMBERS]);
    expect(JSON.stringify(imageCaches)).not.toContain(marker);
    expect(Object.getPrototypeOf(imageCaches[0])).toBe(Object.prototype);
  });

  it('takes no member from a __proto__ in the text', () => {
    const text = JSON.stringify(without('status')).replace('{', '{"__proto__":{"status":"Planted"},');
    expect(only(JSON.parse(text)).status).toBe('Unknown');
    const { id, ...rest } = ENTRY;
    const stolen = JSON.stringify(rest).replace('{', `{"__proto__":{"id":"${id}"},`);
    expect(sanitiseImageCaches([JSON.parse(stolen)]).dropped).toEqual([{ index: 0, member: 'id' }]);
  });

  it('keeps the order and equal entries, and tells where the dropped ones stood', () => {
    const entries = [ENTRY, null, { ...ENTRY, name: 'b' }, { ...ENTRY, name: '' }, ENTRY, []];
    const { imageCaches, dropped } = sanitiseImageCaches(entries);
    expect(imageCaches.map(({ name }) => name)).toEqual(['web-frontend', 'b', 'web-frontend']);
    expect(dropped).toEqual([
      { index: 1, member: 'entry' },
      { index: 3, member: 'name' },
      { index: 5, member: 'entry' },
    ]);
  });

  it.each([
    ['Available', 'Available'],
    ['Failed', 'Failed'],
    ['Hibernating', 'Hibernating'],
    ['a', 'a'],
    ['x'.repeat(32), 'x'.repeat(32)],
    ['x'.repeat(33), 'Unknown'],
    ['', 'Unknown'],
    ['Failed: secret', 'Unknown'],
    ['Failed\n', 'Unknown'],
    [' Failed', 'Unknown'],
    ['Fail3d', 'Unknown'],
    ['Échec', 'Unknown'],
    [null, 'Unknown'],
  ])('status %j becomes %s', (status, expected) => {
    expect(only({ ...ENTRY, status }).status).toBe(expected);
  });

  it('fills in what may be absent', () => {
    expect(only(without('status')).status).toBe('Unknown');
    expect(only(without('images')).images).toEqual([]);
    expect(only({ ...ENTRY, images: null }).images).toEqual([]);
    expect(only(without('retention_days'))).toMatchObject({ retention_days: 0, expires_at: null });
    expect(only({ ...ENTRY, retention_days: null })).toMatchObject({ retention_days: 0, expires_at: null });
  });

  it('knows no expiry for what is kept for ever', () => {
    expect(only({ ...ENTRY, retention_days: 0 }).expires_at).toBeNull();
  });

  it.each([
    [
      '2024-02-28 23:59:59.999999999 +0000 UTC',
      1,
      '2024-02-28T23:59:59.999999Z',
      '2024-02-29T23:59:59.999999Z',
    ],
    ['2024-11-25 06:32:34 +0800 CST', 10_000, '2024-11-24T22:32:34.000000Z', '2052-04-11T22:32:34.000000Z'],
    ['2024-11-25T06:32:34.5Z', 365, '2024-11-25T06:32:34.500000Z', '2025-11-25T06:32:34.500000Z'],
    ['9999-12-30 00:00:00 +0000 UTC', 1, '9999-12-30T00:00:00.000000Z', '9999-12-31T00:00:00.000000Z'],
  ])('%s, kept for %i days', (created_at, retention_days, createdAt, expiresAt) => {
    expect(only({ ...ENTRY, created_at, retention_days })).toMatchObject({
      created_at: createdAt,
      expires_at: expiresAt,
    });
  });

  it.each([
    ['id', 'A'],
    ['id', 'x'.repeat(64)],
    ['name', 'x'.repeat(128)],
    ['name', '-Wider.than_the-query-'],
    ['images', []],
    ['images', ['a'.repeat(4096)]],
    ['images', ['\u{1f600}'.repeat(4096)]],
    ['images', ['a b', '<b>"\\']],
    ['image_cache_size', 0],
    ['image_cache_size', 1_000_000],
    ['retention_days', 10_000],
  ])('keeps %s at its limit: %#', (member, value) => {
    expect(only({ ...ENTRY, [member]: value })).toMatchObject({ [member]: value });
  });

  it.each([
    ['id', undefined],
    ['id', null],
    ['id', 7],
    ['id', ''],
    ['id', 'x'.repeat(65)],
    ['id', 'a/b'],
    ['id', 'a\n'],
    ['id', '\na'],
    ['id', ['a']],
    ['name', undefined],
    ['name', null],
    ['name', ''],
    ['name', 'x'.repeat(129)],
    ['name', 'a b'],
    ['name', 'a\n'],
    ['name', 'é'],
    ['status', 7],
    ['status', {}],
    ['status', ['Available']],
    ['status', false],
    ['images', 'nginx'],
    ['images', {}],
    ['images', 0],
    ['images', [null]],
    ['images', ['ok', 7]],
    ['images', ['']],
    ['images', ['a'.repeat(4097)]],
    ['images', ['a\nb']],
    ['images', ['a\u0000']],
    ['images', ['a\u007f']],
    ['images', ['a\u0085']],
    ['images', ['\ud800']],
    ['images', ['ok', ['nested']]],
    ['image_cache_size', undefined],
    ['image_cache_size', null],
    ['image_cache_size', '20'],
    ['image_cache_size', -1],
    ['image_cache_size', 1.5],
    ['image_cache_size', 1_000_001],
    ['image_cache_size', 1e300],
    ['image_cache_size', true],
    ['retention_days', '7'],
    ['retention_days', -1],
    ['retention_days', 0.5],
    ['retention_days', 10_001],
    ['retention_days', {}],
    ['created_at', undefined],
    ['created_at', null],
    ['created_at', 1732516354],
    ['created_at', ''],
    ['created_at', '2024-02-30 00:00:00 +0000 UTC'],
    ['created_at', 'yesterday'],
  ])('drops an entry for its %s: %j', (member, value) => {
    expect(sanitiseImageCaches([{ ...ENTRY, [member]: value }])).toEqual({
      imageCaches: [],
      dropped: [{ index: 0, member }],
    });
  });

  it('drops an entry that would expire past the year 9999', () => {
    const entry = { ...ENTRY, created_at: '9999-12-31 00:00:00 +0000 UTC', retention_days: 1 };
    expect(sanitiseImageCaches([entry]).dropped).toEqual([{ index: 0, member: 'expires_at' }]);
    expect(only({ ...entry, retention_days: 0 }).expires_at).toBeNull();
  });

  it.each([[null], [undefined], [1], ['text'], [true], [[]], [[ENTRY]]])('drops %j: no entry', (entry) => {
    expect(sanitiseImageCaches([entry]).dropped).toEqual([{ index: 0, member: 'entry' }]);
  });

  it('names the first member at fault only', () => {
    expect(sanitiseImageCaches([{}]).dropped).toEqual([{ index: 0, member: 'id' }]);
    const bad = {
      created_at: 'x',
      retention_days: -1,
      image_cache_size: -1,
      images: 1,
      status: 1,
      name: '',
      id: ENTRY.id,
    };
    expect(sanitiseImageCaches([bad]).dropped).toEqual([{ index: 0, member: 'name' }]);
    expect(sanitiseImageCaches([{ ...bad, name: 'a' }]).dropped).toEqual([{ index: 0, member: 'status' }]);
    expect(sanitiseImageCaches([{ ...ENTRY, created_at: 'x', retention_days: -1 }]).dropped).toEqual([
      { index: 0, member: 'retention_days' },
    ]);
  });

  it('neither changes the entries nor shares anything with them', () => {
    const entries = [structuredClone(ENTRY), { ...structuredClone(ENTRY), id: 7 }];
    const before = structuredClone(entries);
    const { imageCaches } = sanitiseImageCaches(entries);
    expect(entries).toEqual(before);
    expect(imageCaches[0]?.images).not.toBe(entries[0]?.images);
  });

  it('is not held up by a flood', () => {
    // What takes the square of the length would not end within the limit of a test.
    const { dropped } = sanitiseImageCaches([
      { ...ENTRY, images: new Array(4_000_000).fill(1) },
      { ...ENTRY, id: 'x'.repeat(8_000_000) },
      { ...ENTRY, images: ['x'.repeat(8_000_000)] },
      { ...ENTRY, created_at: ' '.repeat(8_000_000) },
    ]);
    expect(dropped.map(({ member }) => member)).toEqual(['images', 'id', 'images', 'created_at']);
  });

  it('does not follow nesting', () => {
    const nested = JSON.parse(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`);
    const { imageCaches, dropped } = sanitiseImageCaches([
      { ...ENTRY, building_config: nested, message: nested },
      { ...ENTRY, images: nested },
      nested,
    ]);
    expect(imageCaches).toHaveLength(1);
    expect(dropped.map(({ member }) => member)).toEqual(['images', 'entry']);
  });
});

describe('properties', () => {
  const MARKER = 'PLANTED';
  const planted = fc
    .anything({ maxDepth: 2 })
    .chain((value) => fc.constantFrom(value, MARKER, [MARKER], { MARKER }));
  const orPlanted = (arbitrary: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: fc.jsonValue() });
  /** An entry of the vendor's model, now and then with a bad member, and always with unknown ones. */
  const entry = fc
    .record(
      {
        id: orPlanted(fc.uuid()),
        name: orPlanted(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}[a-z0-9]$/)),
        status: orPlanted(fc.oneof(fc.constantFrom('Available', 'Creating', 'Failed'), fc.string())),
        images: orPlanted(
          fc.array(
            fc.webPath().map((path) => `registry.example.com${path}`),
            { maxLength: 3 },
          ),
        ),
        image_cache_size: orPlanted(fc.integer({ min: 20, max: 400 })),
        retention_days: orPlanted(fc.integer({ min: 0, max: 10_000 })),
        created_at: orPlanted(
          fc
            .date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
            .map((date) => date.toISOString().replace('T', ' ').replace('Z', ' +0000 UTC')),
        ),
        building_config: planted,
        message: planted,
        owner: planted,
        expires_at: planted,
      },
      { requiredKeys: ['id', 'name', 'image_cache_size', 'created_at', 'building_config', 'message'] },
    )
    .chain((value) =>
      fc.dictionary(fc.string({ maxLength: 8 }), planted).map((more) => ({ ...more, ...value })),
    );
  const entries = fc.array(
    fc.oneof({ weight: 8, arbitrary: entry }, { weight: 1, arbitrary: fc.jsonValue() }),
    {
      maxLength: 12,
    },
  );

  it('shows the allow-list only, valid and in order, and accounts for every entry', () => {
    let kept = 0;
    fc.assert(
      fc.property(entries, (list) => {
        const input: unknown[] = JSON.parse(JSON.stringify(list));
        const before = JSON.stringify(input);
        const { imageCaches, dropped } = sanitiseImageCaches(input);
        kept += imageCaches.length;

        expect(JSON.stringify(input)).toBe(before);
        expect(imageCaches.length + dropped.length).toBe(input.length);
        for (const imageCache of imageCaches) expect(Object.keys(imageCache)).toEqual(MEMBERS);
        for (const { member } of dropped) expect([...MEMBERS, 'entry']).toContain(member);

        const droppedAt = new Set(dropped.map(({ index }) => index));
        expect(droppedAt.size).toBe(dropped.length);
        const rest = input.filter((_entry, index) => !droppedAt.has(index)) as { id: string }[];
        expect(imageCaches.map(({ id }) => id)).toEqual(rest.map(({ id }) => id));

        const text = bodyOf(imageCaches);
        expect(text).not.toContain(MARKER);
        expect(z.safeParse(ImageCacheListSchema, JSON.parse(text)).success).toBe(true);
      }),
      { numRuns: 500 },
    );
    // Otherwise the above says little.
    expect(kept).toBeGreaterThan(200);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.array(fc.anything(), { maxLength: 50 }), (list) => {
        expect(sanitiseImageCaches(list).dropped).toHaveLength(list.length);
      }),
    );
  });
});

describe('the schemas of the answer', () => {
  const imageCache = only(ENTRY);

  it('describe what is served', () => {
    expectTypeOf<z.infer<typeof ImageCacheSchema>>().toExtend<ImageCache>();
    expect(z.safeParse(ImageCacheSchema, imageCache).success).toBe(true);
    expect(z.safeParse(ImageCacheListSchema, { image_caches: [imageCache] }).success).toBe(true);
  });

  it.each([
    ['an unknown member', { ...imageCache, message: '' }],
    ["the vendor's form of the time", { ...imageCache, created_at: ENTRY.created_at }],
    ['three fraction digits', { ...imageCache, created_at: '2024-11-25T06:32:34.923Z' }],
    ['an expiry that is not a time', { ...imageCache, expires_at: '' }],
    ['a status that is no word', { ...imageCache, status: 'a b' }],
    ['a missing member', { ...imageCache, expires_at: undefined }],
  ])('refuse %s', (_label, value) => {
    expect(z.safeParse(ImageCacheSchema, value).success).toBe(false);
  });

  it('turn into JSON Schema for the OpenAPI document', () => {
    const schema = z.toJSONSchema(ImageCacheSchema, { target: 'draft-2020-12' });
    expect(Object.keys(schema.properties ?? {})).toEqual(MEMBERS);
    expect(schema.required).toEqual(MEMBERS);
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties?.created_at).toMatchObject({ type: 'string', format: 'date-time' });
    for (const member of Object.values(schema.properties ?? {})) expect(member).toHaveProperty('description');
  });
});
