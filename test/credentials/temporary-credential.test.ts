import { describe, expect, it } from 'vitest';
import { parseExpiry } from '../../src/credentials/temporary-credential.ts';

describe('parseExpiry', () => {
  it.each([
    ['2026-01-02T03:04:05.123000Z', Date.UTC(2026, 0, 2, 3, 4, 5, 123)],
    ['2026-01-02T03:04:05.123999Z', Date.UTC(2026, 0, 2, 3, 4, 5, 123)],
    ['2026-01-02T03:04:05.1Z', Date.UTC(2026, 0, 2, 3, 4, 5, 100)],
    ['2026-01-02T03:04:05Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['2028-02-29T23:59:59.000000001Z', Date.UTC(2028, 1, 29, 23, 59, 59)],
  ])('reads %s', (text, epochMs) => {
    expect(parseExpiry(text)).toBe(epochMs);
  });

  it.each([
    '',
    '2026-01-02',
    '2026-01-02T03:04:05',
    '2026-01-02T03:04:05+00:00',
    '2026-01-02 03:04:05Z',
    '2026-01-02T03:04:05.Z',
    '2026-01-02T03:04:05.1234567890Z',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02T03:04:60Z',
    ' 2026-01-02T03:04:05Z',
    '2026-01-02T03:04:05Z\n',
  ])('refuses %j', (text) => {
    expect(parseExpiry(text)).toBeUndefined();
  });
});
