import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addDays, parseGoTime } from '../../src/imagecaches/go-time.ts';
import { utcEpochMs } from '../../src/time/utc.ts';

const MS_PER_DAY = 86_400_000;

interface GoTimeVectors {
  readonly cases: readonly {
    readonly input: string;
    readonly expected: string | null;
    readonly lostSeconds?: number;
  }[];
}

const { cases } = JSON.parse(
  readFileSync(new URL('../vectors/go-time.json', import.meta.url), 'utf8'),
) as GoTimeVectors;

/** The instant as text, the way every table below states it. */
const textOf = (input: string) => parseGoTime(input)?.text;

const pad = (value: number, length: number) => String(value).padStart(length, '0');

describe('parseGoTime, against what Go prints', () => {
  it('has a table worth the name', () => {
    expect(cases.length).toBeGreaterThan(300);
    expect(cases.filter(({ input }) => input.includes(' m=')).length).toBeGreaterThanOrEqual(20);
    expect(cases.filter(({ lostSeconds }) => lostSeconds !== undefined).length).toBeGreaterThan(20);
    for (let digits = 0; digits <= 9; digits += 1) {
      const fraction = digits === 0 ? /:\d\d [+-]/ : new RegExp(`\\.\\d{${digits}} [+-]`);
      expect(cases.some(({ input }) => fraction.test(input))).toBe(true);
    }
  });

  it.each(cases)('$input', ({ input, expected }) => {
    expect(textOf(input) ?? null).toBe(expected);
  });

  it('gives the same instant as a number', () => {
    for (const { input, expected } of cases) {
      if (expected === null) continue;
      // Three fraction digits are read alike by every engine.
      expect(parseGoTime(input)?.epochMs, input).toBe(Date.parse(`${expected.slice(0, 23)}Z`));
    }
  });
});

describe('parseGoTime', () => {
  it.each([
    ["the vendor's example", '2024-11-25 06:32:34.923248 +0000 UTC', '2024-11-25T06:32:34.923248Z'],
    ['no fraction', '2024-11-25 06:32:34 +0000 UTC', '2024-11-25T06:32:34.000000Z'],
    ['cut, not rounded', '2024-12-31 23:59:59.999999999 +0000 UTC', '2024-12-31T23:59:59.999999Z'],
    ['cut before 1970 too', '1969-12-31 23:59:59.9999999 +0000 UTC', '1969-12-31T23:59:59.999999Z'],
    ['a half hour', '2024-11-25 06:32:34 +0530 +0530', '2024-11-25T01:02:34.000000Z'],
    ['quarter hours', '2024-11-25 06:32:34 +0845 +0845', '2024-11-24T21:47:34.000000Z'],
    ['west, into the next day', '2024-02-28 22:32:34 -0330 NST', '2024-02-29T02:02:34.000000Z'],
    ['the offset and not the name', '2024-11-25 06:32:34 +0800 UTC', '2024-11-24T22:32:34.000000Z'],
    ['a short suffix', '2024-11-25 06:32:34 +0000 UTC m=-1.5', '2024-11-25T06:32:34.000000Z'],
    ['24:00 east', '2024-11-25 06:32:34 +2400 X', '2024-11-24T06:32:34.000000Z'],
    ["Go's zero time", '0001-01-01 00:00:00 +0000 UTC', '0001-01-01T00:00:00.000000Z'],
    ['RFC 3339', '2024-11-25T06:32:34.923248Z', '2024-11-25T06:32:34.923248Z'],
    ['RFC 3339 without fraction', '2024-11-25T06:32:34Z', '2024-11-25T06:32:34.000000Z'],
    ['RFC 3339 with nanoseconds', '2024-11-25T06:32:34.923248999Z', '2024-11-25T06:32:34.923248Z'],
    ['RFC 3339 with an offset', '2024-11-25T06:32:34.9+05:45', '2024-11-25T00:47:34.900000Z'],
    ['RFC 3339, west', '2024-12-31T23:30:00-00:30', '2025-01-01T00:00:00.000000Z'],
    ['29 February', '2000-02-29 00:00:00 +0000 UTC', '2000-02-29T00:00:00.000000Z'],
    ['the first instant', '0000-12-31 23:00:00 -0100 -01', '0001-01-01T00:00:00.000000Z'],
    ['the last instant', '10000-01-01 00:59:59.999999 +0100 CET', '9999-12-31T23:59:59.999999Z'],
  ])('reads %s', (_label, input, expected) => {
    expect(textOf(input)).toBe(expected);
  });

  it.each([
    ['nothing', ''],
    ['a Go nil', '<nil>'],
    ['30 February', '2024-02-30 00:00:00 +0000 UTC'],
    ['29 February of a common year', '2023-02-29 00:00:00 +0000 UTC'],
    ['29 February 1900', '1900-02-29 00:00:00 +0000 UTC'],
    ['31 April', '2024-04-31 00:00:00 +0000 UTC'],
    ['day 0', '2024-01-00 00:00:00 +0000 UTC'],
    ['day 32', '2024-01-32 00:00:00 +0000 UTC'],
    ['month 0', '2024-00-10 00:00:00 +0000 UTC'],
    ['month 13', '2024-13-10 00:00:00 +0000 UTC'],
    ['hour 24', '2024-01-01 24:00:00 +0000 UTC'],
    ['minute 60', '2024-01-01 00:60:00 +0000 UTC'],
    ['second 60', '2024-01-01 00:00:60 +0000 UTC'],
    ['an offset over 24:00', '2024-01-01 00:00:00 +2401 X'],
    ['an offset under -24:00', '2024-01-01 00:00:00 -2401 X'],
    ['minute 60 in the offset', '2024-01-01 00:00:00 +0060 X'],
    ['RFC 3339, minute 60 in the offset', '2024-01-01T00:00:00+00:60'],
    ['RFC 3339, an offset over 24:00', '2024-01-01T00:00:00+24:01'],
    ['year 0 in UTC', '0000-12-31 23:59:59 +0000 UTC'],
    ['year 0 only in UTC', '0001-01-01 00:59:59 +0100 CET'],
    ['year 10000 only in UTC', '9999-12-31 23:00:00 -0100 -01'],
    ['year 10000 in UTC', '10000-01-01 00:00:00 +0000 UTC'],
    ['year 20000', '20000-01-01 00:00:00 +0000 UTC'],
    ['a year before 0', '-001-01-01 00:00:00 +0000 UTC'],
    ['ten fraction digits', '2024-01-01 00:00:00.0123456789 +0000 UTC'],
    ['an empty fraction', '2024-01-01 00:00:00. +0000 UTC'],
    ['a comma', '2024-01-01 00:00:00,5 +0000 UTC'],
    ['no zone name', '2024-01-01 00:00:00 +0000'],
    ['an empty zone name', '2024-01-01 00:00:00 +0000 '],
    ['two zone names', '2024-01-01 00:00:00 +0000 UTC UTC'],
    ['markup for a zone name', '2024-01-01 00:00:00 +0000 <b>'],
    ['no offset', '2024-01-01 00:00:00 UTC'],
    ['a bad suffix', '2024-01-01 00:00:00 +0000 UTC m=1.5'],
    ['an unfinished suffix', '2024-01-01 00:00:00 +0000 UTC m=+1.'],
    ['something before', 'x2024-01-01 00:00:00 +0000 UTC'],
    ['something before RFC 3339', 'x2024-01-01T00:00:00Z'],
    ['something after', '2024-01-01 00:00:00 +0000 UTC;'],
    ['something after RFC 3339', '2024-01-01T00:00:00Zx'],
    ['a line end after', '2024-01-01 00:00:00 +0000 UTC\n'],
    ['a line end after RFC 3339', '2024-01-01T00:00:00Z\n'],
    ['a space after', '2024-01-01 00:00:00 +0000 UTC '],
    ['RFC 3339 with a space', '2024-01-01 00:00:00Z'],
    ['RFC 3339 without zone', '2024-01-01T00:00:00'],
    ['RFC 3339 in lower case', '2024-01-01t00:00:00z'],
    ['a date alone', '2024-01-01'],
    ['other digits', '٢٠٢٤-01-01 00:00:00 +0000 UTC'],
    ['seconds since 1970', '1732516354'],
    ['a date of HTTP', 'Mon, 25 Nov 2024 06:32:34 GMT'],
    ['an over-long suffix', `2024-01-01 00:00:00 +0000 UTC m=+${'1'.repeat(200)}.5`],
  ])('refuses %s', (_label, input) => {
    expect(parseGoTime(input)).toBeUndefined();
  });

  it('keeps the instant of any date, fraction, offset and name', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(1900, 0), max: Date.UTC(2200, 0) }),
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: -1440, max: 1440 }),
        fc.constantFrom('UTC', 'CST', '+0530', '-03', '+0845', 'UTC+8', 'Asia/Shanghai', 'LMT'),
        fc.constantFrom('', ' m=+0.012345678', ' m=-1.500000000'),
        (ms, nanoseconds, digits, offsetMinutes, zone, suffix) => {
          const second = Math.floor(ms / 1000) * 1000;
          const local = new Date(second + offsetMinutes * 60_000).toISOString();
          const fraction = pad(nanoseconds, 9).slice(0, digits);
          const size = Math.abs(offsetMinutes);
          const offset = `${offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}${pad(size % 60, 2)}`;
          const clock = `${local.slice(11, 19)}${digits === 0 ? '' : `.${fraction}`}`;
          const kept = fraction.padEnd(6, '0').slice(0, 6);
          const expected = {
            text: `${new Date(second).toISOString().slice(0, 19)}.${kept}Z`,
            epochMs: second + Number(kept.slice(0, 3)),
          };
          expect(parseGoTime(`${local.slice(0, 10)} ${clock} ${offset} ${zone}${suffix}`)).toEqual(expected);
          expect(
            parseGoTime(`${local.slice(0, 10)}T${clock}${offset.slice(0, 3)}:${offset.slice(3)}`),
          ).toEqual(expected);
          // What comes out goes in again unchanged.
          expect(parseGoTime(expected.text)).toEqual(expected);
        },
      ),
    );
  });

  it('never throws, and gives nothing but its one form', () => {
    const alphabet = fc.constantFrom(...'0123456789-: .+TZUTCm='.split(''));
    const near = fc
      .tuple(fc.constantFrom(...cases.map(({ input }) => input)), fc.nat({ max: 60 }), alphabet)
      .map(([input, at, character]) => input.slice(0, at) + character + input.slice(at + 1));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 80 }),
          fc.string({ unit: 'binary', maxLength: 80 }),
          fc.string({ unit: alphabet, maxLength: 80 }),
          near,
        ),
        (input) => {
          const time = parseGoTime(input);
          if (time === undefined) return;
          expect(time.text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
          expect(time.epochMs).toBe(Date.parse(`${time.text.slice(0, 23)}Z`));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('does not choke on long texts', () => {
    // What takes the square of the length would not end within the limit of a test.
    for (const part of ['2', ' ', '2024-01-01 00:00:00 +0000 ', 'm=+1', '٢', '\u{1f600}']) {
      expect(parseGoTime(`2024-01-01 00:00:00 +0000 ${part.repeat(1_000_000)}`)).toBeUndefined();
    }
  });
});

describe('addDays', () => {
  const add = (input: string, days: number) => {
    const time = parseGoTime(input);
    if (time === undefined) throw new Error('bad test');
    return addDays(time, days);
  };

  it.each([
    ['2024-02-28T12:00:00.000001Z', 1, '2024-02-29T12:00:00.000001Z'],
    ['2023-12-31T23:59:59.999999Z', 1, '2024-01-01T23:59:59.999999Z'],
    ['1969-12-31T23:59:59.123456Z', 1, '1970-01-01T23:59:59.123456Z'],
    ['1960-06-01T00:00:00.999999Z', 0, '1960-06-01T00:00:00.999999Z'],
    ['2024-03-30T00:30:00.500000Z', 10_000, '2051-08-16T00:30:00.500000Z'],
    ['9999-12-30T23:59:59.999999Z', 1, '9999-12-31T23:59:59.999999Z'],
  ])('%s and %i days', (input, days, expected) => {
    expect(add(input, days)).toEqual(parseGoTime(expected));
  });

  it('ends with the year 9999', () => {
    expect(add('9999-12-31T00:00:00Z', 1)).toBeUndefined();
    expect(add('9990-01-01T00:00:00Z', 10_000)).toBeUndefined();
    expect(add('2024-01-01T00:00:00Z', 1e15)).toBeUndefined();
    expect(add('2024-01-01T00:00:00Z', Number.NaN)).toBeUndefined();
  });

  it('adds 24 hours a day and leaves the fraction alone', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(1900, 0), max: Date.UTC(2200, 0) }),
        fc.integer({ min: 0, max: 999 }),
        fc.integer({ min: 0, max: 10_000 }),
        (ms, micros, days) => {
          const text = `${new Date(ms).toISOString().slice(0, 23)}${pad(micros, 3)}Z`;
          const later = add(text, days);
          expect(later?.epochMs).toBe(ms + days * MS_PER_DAY);
          expect(later?.text.slice(-8)).toBe(text.slice(-8));
        },
      ),
    );
  });
});

describe('utcEpochMs', () => {
  it('does not take the first centuries for the twentieth', () => {
    const midnight = { month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    expect(utcEpochMs({ year: 1, ...midnight })).toBe(Date.parse('0001-01-01T00:00:00Z'));
    expect(utcEpochMs({ year: 99, ...midnight })).toBe(Date.parse('0099-01-01T00:00:00Z'));
  });
});
