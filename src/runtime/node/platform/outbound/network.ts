import { lookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import type { Schedule } from '../../../../platform/schedule.ts';

/** What connections are made of. */
export interface Network {
  /** The addresses of a name, best first. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>;
  /** Begins a TCP connection to an address. */
  readonly connect: (address: string, port: number) => Socket;
  readonly schedule: Schedule;
}

/** The resolver of the system and the sockets of Node. Nothing is cached here: each look-up asks the resolver. */
export const NODE_NETWORK: Network = {
  lookup: async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address),
  connect: (address, port) => connect({ host: address, port }),
  schedule: (callback, delayMs) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
