import { createServer } from 'node:net';

/**
 * Below the ports that systems give to connections, and to who listens on port 0: none of these takes one meanwhile. There are
 * so many that two test files hardly ever look at the same one.
 */
const FIRST_PORT = 20_000;
const PORTS = 10_000;

let next = Math.floor(Math.random() * PORTS);

/** A port of loopback that was free a moment ago, for what cannot choose one by itself. Another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + (next % PORTS);
    next += 1;
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    probe.listen(port, '127.0.0.1', () => {
      probe.close(() => resolve(true));
    });
  });
}
