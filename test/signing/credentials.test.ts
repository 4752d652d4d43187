import { describe, expect, it } from 'vitest';
import { checkCredential, type KeyPair } from '../../src/signing/credential.ts';
import { sign } from '../../src/signing/sign-request.ts';

const GOOD: KeyPair = {
  accessKeyId: 'AKEXAMPLE',
  secretAccessKey: 'PLANTED-secret',
  securityToken: 'PLANTED-token',
  expiresAtMs: 1_767_323_045_000,
};

const BAD_TEXTS = ['', ' ', 'PLANTED ', '\tPLANTED', 'PLANTED\n', 'PLAN\r\nTED', 'PLANTED\0', 'PLANTEDé'];

describe('a credential that cannot be used', () => {
  it.each(['accessKeyId', 'secretAccessKey', 'securityToken'] as const)('is refused for its %s', (field) => {
    for (const bad of BAD_TEXTS) {
      const credential = { ...GOOD, [field]: bad };
      const message = messageOf(() => checkCredential(credential));
      expect(message, JSON.stringify(bad)).toContain(field);
      expect(message).not.toContain('PLAN');
    }
  });

  it.each(['accessKeyId', 'secretAccessKey'] as const)('is refused without %s', (field) => {
    expect(messageOf(() => checkCredential({ ...GOOD, [field]: undefined } as never))).toContain(field);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('is refused when it expires at %s', (expiresAtMs) => {
    expect(messageOf(() => checkCredential({ ...GOOD, expiresAtMs }))).toContain('expiresAtMs');
  });

  it('is refused on signing, whatever provider it came from', async () => {
    await expect(sign('text', { ...GOOD, secretAccessKey: '' })).rejects.toThrow(TypeError);
  });
});

describe('a usable credential', () => {
  it.each([
    ['whole', GOOD],
    ['permanent', { accessKeyId: 'a', secretAccessKey: '~' }],
    ['with fields left undefined', { ...GOOD, securityToken: undefined, expiresAtMs: undefined }],
  ])('passes: %s', (_, credential) => {
    expect(() => checkCredential(credential)).not.toThrow();
  });
});

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return (error as TypeError).message;
  }
  throw new Error('nothing was thrown');
}
