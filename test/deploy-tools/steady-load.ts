import https from 'node:https';

/** Clients that each send one request after the other. */
const CLIENTS = 4;
/** A load that is not stopped ends after so many requests. */
const MAX_REQUESTS = 10_000_000;
const TARGETS = [
  { method: 'GET', path: '/imagecaches' },
  { method: 'GET', path: '/imagecaches?name=media-web-06' },
  { method: 'HEAD', path: '/imagecaches' },
] as const;

export interface SteadyLoad {
  /** Resolves when so many more requests are answered, or failed. Rejects when the load ends before. */
  readonly answered: (count: number) => Promise<void>;
  /** Resolves with how many requests ended in which way, by status or error code, when the last is answered. */
  readonly stop: () => Promise<Readonly<Record<string, number>>>;
}

/** Callers behind a proxy on this machine, who keep their connections and never pause. */
export function startLoad(port: number, token: string): SteadyLoad {
  const agent = new https.Agent({ keepAlive: true, maxSockets: CLIENTS, rejectUnauthorized: false });
  const outcomes: Record<string, number> = {};
  const waiting = new Set<{ at: number; resolve: () => void; reject: (error: Error) => void }>();
  let started = 0;
  let ended = 0;
  let isStopped = false;

  function send(): Promise<string> {
    const target = TARGETS[started % TARGETS.length];
    started += 1;
    return new Promise((resolve) => {
      const request = https.request({
        ...target,
        host: '127.0.0.1',
        port,
        agent,
        headers: { authorization: `Bearer ${token}` },
      });
      const fail = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message);
      request.on('error', fail);
      request.on('response', (response) => {
        response.on('error', fail).on('end', () => resolve(String(response.statusCode)));
        response.resume();
      });
      request.end();
    });
  }

  async function act(): Promise<void> {
    while (!isStopped && started < MAX_REQUESTS) {
      const outcome = await send();
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      ended += 1;
      for (const waiter of waiting) if (ended >= waiter.at && waiting.delete(waiter)) waiter.resolve();
    }
  }

  const clients = Promise.all(Array.from({ length: CLIENTS }, act)).then(() => {
    agent.destroy();
    for (const { reject } of waiting) reject(new Error(`the load has ended: ${JSON.stringify(outcomes)}`));
  });
  return {
    answered: (count) =>
      new Promise((resolve, reject) => waiting.add({ at: ended + count, resolve, reject })),
    stop: async () => {
      isStopped = true;
      await clients;
      return outcomes;
    },
  };
}
