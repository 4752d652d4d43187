import { Pool } from 'undici';

const CONNECTIONS = 64;
const TICK_MS = 5;
/** An answer that takes longer is none; so long after the last request it ends. */
const ANSWER_TIMEOUT_MS = 10_000;

export interface RateOptions {
  /** Scheme, host and port. */
  readonly server: string;
  readonly path: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** Headers of each request, by its number. */
  readonly headersOf: (request: number) => Record<string, string>;
  readonly onAnswer: (answer: RateAnswer) => void;
}

export interface RateAnswer {
  /** 0 when there was none. */
  readonly status: number;
  readonly body: Buffer;
  /** When it was complete, by `performance.now()`. */
  readonly atMs: number;
  /** Since it was due to be asked for, which may be before it was. */
  readonly waitedMs: number;
}

/**
 * Asks at a constant rate whether or not the answers come, as callers that know nothing of one another do, and resolves
 * when all are answered or given up. (autocannon sends what is due in a second at its beginning, and asks less while it
 * waits.)
 *
 * @returns by how many milliseconds a request was late at most: when it is much, the machine did not keep the rate
 */
export async function askAtRate(options: RateOptions): Promise<number> {
  const { server, path, perSecond, seconds, headersOf, onAnswer } = options;
  const pool = new Pool(server, {
    connections: CONNECTIONS,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  });
  const pending = new Set<Promise<void>>();

  async function ask(headers: Record<string, string>, dueAtMs: number): Promise<void> {
    let status = 0;
    let body = Buffer.alloc(0);
    try {
      const response = await pool.request({ path, method: 'GET', headers });
      body = Buffer.from(await response.body.arrayBuffer());
      status = response.statusCode;
    } catch {
      // No answer, or not all of it.
    }
    const atMs = performance.now();
    onAnswer({ status, body, atMs, waitedMs: atMs - dueAtMs });
  }

  const total = perSecond * seconds;
  const startedAtMs = performance.now();
  let latestMs = 0;
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAtMs) / 1000) * perSecond));
    for (; sent < due; sent += 1) {
      const dueAtMs = startedAtMs + (sent / perSecond) * 1000;
      latestMs = Math.max(latestMs, performance.now() - dueAtMs);
      const asked = ask(headersOf(sent), dueAtMs).finally(() => pending.delete(asked));
      pending.add(asked);
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  const giveUp = setTimeout(() => void pool.destroy(), ANSWER_TIMEOUT_MS);
  await Promise.all(pending);
  clearTimeout(giveUp);
  await pool.destroy();
  return latestMs;
}
