import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Answers a request; it may take as long as it likes. */
export type AnswerRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

interface Turn {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly answer: AnswerRequest;
}

/**
 * The requests of one connection, one at a time (RFC 9112, section 9.3.2). The next one begins when the answer before it is
 * with the system, and nothing is read while one waits: a client that pipelines and never reads holds one answer, and the
 * requests of one read of Node's, 64 KiB.
 */
export class Turns {
  readonly #socket: Socket;
  readonly #waitingChanged: (by: number) => void;
  #current: Turn | undefined;
  #waiting: Turn[] = [];
  #isWatching = false;
  #end: (() => void) | undefined;

  /** @param waitingChanged told by how many the requests that wait have become more or fewer */
  constructor(socket: Socket, waitingChanged: (by: number) => void) {
    this.#socket = socket;
    this.#waitingChanged = waitingChanged;
    // Node goes on reading when it drops the body of an answered request.
    socket.on('resume', () => {
      if (this.#waiting.length > 0) socket.pause();
    });
    socket.on('close', () => this.forgetWaiting());
  }

  /** True while an answer is made, or sent. */
  get isAnswering(): boolean {
    return this.#current !== undefined && !isOver(this.#current.outgoing);
  }

  /** True when the request answered last has not arrived completely. */
  get isBodyMissing(): boolean {
    return this.#current !== undefined && !this.#current.incoming.complete;
  }

  /** True when the connection ends, or will with the answers that are due. */
  get isEnding(): boolean {
    return this.#end !== undefined;
  }

  /** Requests that wait for the answers before them. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Answers now, or when the answers before it are out. After an end nothing is answered. */
  take(incoming: IncomingMessage, outgoing: ServerResponse, answer: AnswerRequest): void {
    if (this.#end !== undefined) return;
    const turn = { incoming, outgoing, answer };
    if (this.#isFree()) {
      this.#begin(turn);
      return;
    }
    this.#waiting.push(turn);
    this.#waitingChanged(1);
    this.#watch();
    this.#socket.pause();
  }

  /** Ends the connection when the answers that are due are out. Only the first end counts. */
  endWith(end: () => void): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (this.#isFree()) end();
    else this.#watch();
  }

  #isFree(): boolean {
    return this.#waiting.length === 0 && !this.isAnswering;
  }

  #begin(turn: Turn): void {
    this.#current = turn;
    turn.answer(turn.incoming, turn.outgoing);
  }

  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#current?.outgoing.once('close', () => this.#next());
  }

  #next(): void {
    this.#isWatching = false;
    // It was closed with its answer, which leaves out what came after it.
    if (this.#socket.destroyed || this.#socket.writableEnded) {
      this.forgetWaiting();
      return;
    }
    const turn = this.#waiting.shift();
    if (turn === undefined) {
      this.#end?.();
      return;
    }
    this.#waitingChanged(-1);
    this.#begin(turn);
    if (this.#waiting.length > 0 || this.#end !== undefined) this.#watch();
    else this.#socket.resume();
  }

  /** Leaves out the requests that wait. */
  forgetWaiting(): void {
    this.#waitingChanged(-this.#waiting.length);
    this.#waiting = [];
  }
}

function isOver(outgoing: ServerResponse): boolean {
  return outgoing.writableFinished || outgoing.destroyed;
}
