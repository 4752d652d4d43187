import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../src/runtime/node/telemetry/logger.ts';

function logged(fields: object, message = 'm'): string {
  let text = '';
  createLogger('trace', { write: (line) => (text += line) }).info(fields, message);
  return text;
}

const SECRETS = {
  authorization: 'PLANTED',
  cookie: 'PLANTED',
  token: 'PLANTED',
  accessKeyId: 'PLANTED',
  secretAccessKey: 'PLANTED',
  securityToken: 'PLANTED',
  'x-security-token': 'PLANTED',
  'x-auth-token': 'PLANTED',
};

describe('the logger', () => {
  it('writes one JSON line with the level as a word and the time in RFC 3339', () => {
    const line = JSON.parse(logged({ status: 200 }, 'request')) as Record<string, unknown>;
    expect(line).toEqual({ level: 'info', time: expect.any(String), status: 200, msg: 'request' });
    expect(new Date(line.time as string).toISOString()).toBe(line.time);
  });

  it('replaces a secret that slips in, by itself or in what such things come in', () => {
    expect(logged(SECRETS)).not.toContain('PLANTED');
    for (const parent of ['headers', 'request', 'response', 'credential', 'credentials', 'config']) {
      const text = logged({ [parent]: { ...SECRETS, harmless: 'kept' } });
      expect(text).not.toContain('PLANTED');
      expect(text).toContain('kept');
    }
  });

  it('writes no message of an error that is given whole', () => {
    const error = new TypeError('PLANTED', { cause: new Error('PLANTED') });
    expect(logged({ error, err: error })).not.toContain('PLANTED');
    expect(logged(error)).not.toContain('PLANTED');
  });
});
