import type { HeaderPair, RefusalReason } from './verify-signature.ts';
import { Waiters } from './waiters.ts';

/** Only the last so many requests are kept; the counters go on. */
export const MAX_RECORDED_REQUESTS = 10_000;

export interface RecordedRequest {
  /** 1 for the first request since the start or the last reset. */
  sequence: number;
  atMs: number;
  method: string;
  /** The request target as it arrived, with the query. */
  url: string;
  path: string;
  /** As they arrived: order, spelling and repetitions kept, Host among them. */
  headers: HeaderPair[];
  bodyBytes: number;
  /** 1 for the first connection. */
  socketId: number;
  /** Whether an earlier request came over the same connection. */
  reusedSocket: boolean;
  /** `none` where no signature is needed or a rule turned the check off. */
  authentication: 'pending' | 'none' | 'accepted' | RefusalReason;
  outcome: 'open' | 'answered' | 'aborted';
  /** Status of the answer, once it has one. */
  status?: number;
}

/** What arrived, for assertions. Requests to the control API are not part of it. */
export class RequestLog {
  readonly requests: RecordedRequest[] = [];
  private readonly countByPath = new Map<string, number>();
  private readonly sockets = new Set<number>();
  private readonly waiters = new Waiters();
  private readonly open = new Set<RecordedRequest>();
  private total = 0;

  add(request: Omit<RecordedRequest, 'sequence'>): RecordedRequest {
    this.total += 1;
    const recorded = { sequence: this.total, ...request };
    this.requests.push(recorded);
    this.open.add(recorded);
    if (this.requests.length > MAX_RECORDED_REQUESTS) this.requests.shift();
    this.countByPath.set(request.path, this.count(request.path) + 1);
    this.sockets.add(request.socketId);
    this.waiters.check();
    return recorded;
  }

  finish(request: RecordedRequest, outcome: 'answered' | 'aborted'): void {
    request.outcome = outcome;
    this.open.delete(request);
    this.waiters.check();
  }

  /** Requests since the start or the last reset, of one path or all. */
  count(path?: string): number {
    return path === undefined ? this.total : (this.countByPath.get(path) ?? 0);
  }

  /** Connections that carried at least one request. */
  get connectionCount(): number {
    return this.sockets.size;
  }

  /** Requests that are neither answered nor given up. */
  get openCount(): number {
    return this.open.size;
  }

  /** Resolves when at least `count` requests have arrived. */
  received(count: number, path?: string): Promise<void> {
    return this.waiters.until(() => this.count(path) >= count);
  }

  /** Resolves when no request is open. */
  idle(): Promise<void> {
    return this.waiters.until(() => this.openCount === 0);
  }

  /** Forgets all. */
  reset(): void {
    this.requests.length = 0;
    this.countByPath.clear();
    this.sockets.clear();
    this.open.clear();
    this.total = 0;
    this.waiters.check();
  }

  rejectWaiters(error: Error): void {
    this.waiters.rejectAll(error);
  }
}
