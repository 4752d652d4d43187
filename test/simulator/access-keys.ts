import type { AccessKey, ArrivedRequest, Verification } from './verify-signature.ts';
import { verifySignature } from './verify-signature.ts';

/** More failures in a row than this lock the access key. */
export const MAX_FAILURES_IN_A_ROW = 5;
/** How long the vendor keeps an access key locked. */
export const LOCKOUT_MS = 5 * 60 * 1000;

/** The key pairs that the gateway knows, and the vendor's lockout of each. */
export class AccessKeys {
  private readonly keys = new Map<string, AccessKey>();
  private readonly failures = new Map<string, { inARow: number; lockedUntilMs: number }>();

  constructor(keys: readonly AccessKey[]) {
    this.replace(keys);
  }

  /** Adds a key pair, or replaces the one of the same id; its failures are forgotten. */
  add(key: AccessKey): void {
    this.keys.set(key.accessKeyId, { ...key });
    this.failures.delete(key.accessKeyId);
  }

  remove(accessKeyId: string): void {
    this.keys.delete(accessKeyId);
    this.failures.delete(accessKeyId);
  }

  replace(keys: readonly AccessKey[]): void {
    this.keys.clear();
    this.failures.clear();
    for (const key of keys) this.add(key);
  }

  list(): AccessKey[] {
    return [...this.keys.values()].map((key) => ({ ...key }));
  }

  /** Ends the lockout of one access key, or of all. */
  unlock(accessKeyId?: string): void {
    if (accessKeyId === undefined) this.failures.clear();
    else this.failures.delete(accessKeyId);
  }

  isLocked(accessKeyId: string, nowMs: number): boolean {
    return nowMs < (this.failures.get(accessKeyId)?.lockedUntilMs ?? 0);
  }

  /** Verifies one request and counts the outcome towards the lockout. */
  authenticate(request: ArrivedRequest, nowMs: number): Verification {
    const verification = verifySignature(request, (id) => this.keys.get(id), nowMs);
    const { accessKeyId } = verification;
    if (accessKeyId === undefined || !this.keys.has(accessKeyId)) return verification;
    if (this.isLocked(accessKeyId, nowMs)) {
      return {
        accepted: false,
        reason: 'locked',
        text: 'AK access failed to reach the limit,forbidden.',
        accessKeyId,
      };
    }
    if (verification.accepted) this.failures.delete(accessKeyId);
    else this.countFailure(accessKeyId, nowMs);
    return verification;
  }

  private countFailure(accessKeyId: string, nowMs: number): void {
    const inARow = (this.failures.get(accessKeyId)?.inARow ?? 0) + 1;
    // A lockout that has run out begins a new count.
    if (inARow > MAX_FAILURES_IN_A_ROW)
      this.failures.set(accessKeyId, { inARow: 0, lockedUntilMs: nowMs + LOCKOUT_MS });
    else this.failures.set(accessKeyId, { inARow, lockedUntilMs: 0 });
  }
}
