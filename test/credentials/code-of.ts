import { expect } from 'vitest';

/** The code of the OutboundError that a load rejects with, which holds nothing planted. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => ({ code: 'no error' }),
    (reason: unknown) => reason as { name: string; code: string; stack: string },
  );
  if ('name' in error) {
    expect(error.name).toBe('CredentialSourceError');
    expect(error.stack).not.toContain('PLANTED');
  }
  return error.code;
}
