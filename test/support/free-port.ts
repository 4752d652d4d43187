import { createServer } from 'node:net';

/** Below the ranges from which systems take ports for connections and for those who ask for any port. */
const LEAST = 20_000;
const MOST = 32_000;

/**
 * A port of loopback that was free a moment ago, for what cannot choose one by itself. Nobody is given it by the system
 * meanwhile, so that only another one who asks here might take it: one of 12,000, at random.
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const port = LEAST + Math.floor(Math.random() * (MOST - LEAST));
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(freePort());
      else reject(error);
    });
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)));
  });
}
