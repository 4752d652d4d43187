import { type HeaderPair, headerValue, type Verification } from './verify-signature.ts';

/** The tokens of IAM that the gateway accepts in X-Auth-Token. */
export class AuthTokens {
  private readonly tokens = new Set<string>();

  add(token: string): void {
    this.tokens.add(token);
  }

  remove(token: string): void {
    this.tokens.delete(token);
  }

  clear(): void {
    this.tokens.clear();
  }

  /** Undefined for a request without a token. A signature beside one is refused: which of the two is meant? */
  authenticate(headers: readonly HeaderPair[]): Verification | undefined {
    const token = headerValue(headers, 'x-auth-token');
    if (token === undefined) return undefined;
    if (headerValue(headers, 'authorization') !== undefined)
      return { accepted: false, reason: 'bad-signature', text: 'a signature beside x-auth-token' };
    if (this.tokens.has(token)) return { accepted: true, accessKeyId: 'x-auth-token' };
    return { accepted: false, reason: 'unknown-key', text: `decrypt token fail: ${token}` };
  }
}
