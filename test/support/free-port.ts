import { createServer } from 'node:net';

/**
 * Below those that systems give to whoever asks for any port: from 32768 on, and elsewhere from 49152 on. A node of a Redis
 * cluster listens 10,000 above its port too: these are not given here.
 */
const FIRST_PORT = 10_000;
const SHARES = 10;
const PORTS_OF_SHARE = 1000;

/** Test files that run at the same time have ports of their own. */
const share = Number(process.env.VITEST_POOL_ID ?? 0) % SHARES;
let next = Math.floor(Math.random() * PORTS_OF_SHARE);

/** A free port of loopback, for what cannot choose one by itself. Nothing here takes it before it is used. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORTS_OF_SHARE; tried += 1) {
    next = (next + 1) % PORTS_OF_SHARE;
    const port = FIRST_PORT + share * PORTS_OF_SHARE + next;
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
