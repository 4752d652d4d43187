import type { Socket } from 'node:net';
import { limitedNetwork } from '../../../limits/limited-network.ts';
import { Turns } from './turns.ts';
import { connectionKey, type UnacknowledgedBytes } from './unacknowledged-bytes.ts';

/** One connection of a client, with what its bound and its checks need to know. Times are elapsed milliseconds. */
export class Connection {
  /** What is read from and written to. */
  readonly socket: Socket;
  /** What the system knows: with TLS the socket beneath. */
  readonly tcp: Socket;
  readonly turns: Turns;
  readonly key: string;
  /** What its client is counted under. */
  readonly network: string;
  /** Rises with each use of any connection. */
  lastUse = 0;
  requests = 0;
  /** When its end was written; undefined before. */
  endedAtMs: number | undefined;
  /** Since when a request is late that began to arrive while answers were due; undefined: none is. */
  late: { readonly requests: number; sinceMs: number | undefined } | undefined;
  #progressAtMs: number;
  /** Bytes that were handed to the system. */
  #handed = 0;
  /** How much was handed when the client had taken all of it. */
  #takenAt = 0;
  #unacknowledged: number | undefined;

  constructor(socket: Socket, nowMs: number, waitingChanged: (by: number) => void, tcp: Socket = socket) {
    this.socket = socket;
    this.tcp = tcp;
    this.turns = new Turns(socket, waitingChanged);
    this.key = connectionKey(tcp);
    this.network = limitedNetwork(tcp.remoteAddress ?? '');
    this.#progressAtMs = nowMs;
  }

  /** How long the client has taken nothing of what it is owed; 0 where it is owed nothing. */
  stalledMs(nowMs: number): number {
    return this.#isOwing() ? nowMs - this.#progressAtMs : 0;
  }

  /** True while Node holds bytes of an answer that the system has not taken. */
  get isUnsent(): boolean {
    return this.socket.writableLength > 0;
  }

  /** Notes what was handed to the system. */
  observe(nowMs: number): void {
    const { bytesWritten, writableLength } = this.socket;
    const handed = bytesWritten - writableLength;
    // Of nothing owed there is no progress, but the time begins with what is owed next.
    if (handed === this.#handed && this.#isOwing()) return;
    this.#handed = handed;
    this.#progressAtMs = nowMs;
    this.#unacknowledged = undefined;
  }

  /** Notes what the system says. */
  compare(unacknowledged: UnacknowledgedBytes | undefined, nowMs: number): void {
    const owed = unacknowledged?.get(this.key) ?? 0;
    if (owed === 0 && !this.isUnsent) this.#takenAt = this.#handed;
    // More than before is progress too: what was taken made room for more.
    if (this.#unacknowledged !== undefined && owed !== this.#unacknowledged) this.#progressAtMs = nowMs;
    this.#unacknowledged = owed;
  }

  #isOwing(): boolean {
    return this.isUnsent || this.#takenAt !== this.#handed;
  }
}
