import { isIP, isIPv6, type Socket } from 'node:net';
import type { Network } from './network.ts';

/** Connection Attempt Delay of RFC 8305, section 5: 250 ms, which it recommends. */
const ATTEMPT_DELAY_MS = 250;

/** Errors that say more of this machine than of the other end: another address tells more. */
const NO_ROUTE = new Set<unknown>(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/**
 * Opens a TCP connection to the first address of a host that takes one (RFC 8305). Families are interleaved; attempts
 * start 250 ms apart, or as soon as the one before has failed, and all go on until one of them connects.
 *
 * @param hostname a name or an address, without brackets
 * @param signal ends all attempts
 * @throws the signal's reason; the error of the look-up; when no address takes a connection the most telling of their errors
 */
export async function openTcp(
  hostname: string,
  port: number,
  signal: AbortSignal,
  network: Network,
): Promise<Socket> {
  const addresses = isIP(hostname) !== 0 ? [hostname] : await resolve(hostname, signal, network);
  signal.throwIfAborted();
  return connectFirst(addresses, port, signal, network);
}

/** A look-up cannot be ended; nobody waits for it longer than the signal lets. */
function resolve(hostname: string, signal: AbortSignal, { lookup }: Network): Promise<readonly string[]> {
  return new Promise((found, reject) => {
    const end = () => reject(signal.reason);
    signal.addEventListener('abort', end, { once: true });
    lookup(hostname)
      .then((addresses) => found(interleave(addresses)), reject)
      .finally(() => signal.removeEventListener('abort', end));
  });
}

/** Takes an address of each family in turn, the family of the first one first (RFC 8305, section 4). */
export function interleave(addresses: readonly string[]): readonly string[] {
  const [first, ...rest] = [...new Set(addresses)];
  if (first === undefined) return [];
  const isOther = (address: string) => isIPv6(address) !== isIPv6(first);
  const same = [first, ...rest.filter((address) => !isOther(address))];
  const other = rest.filter(isOther);
  return same
    .flatMap((address, index) => [address, ...other.slice(index, index + 1)])
    .concat(other.slice(same.length));
}

function connectFirst(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
  { connect, schedule }: Network,
): Promise<Socket> {
  return new Promise((found, reject) => {
    const attempts = new Set<Socket>();
    const errors: unknown[] = [];
    let begun = 0;
    let cancelNext = () => {};

    function end(): void {
      cancelNext();
      signal.removeEventListener('abort', abort);
      for (const socket of attempts) socket.destroy();
      attempts.clear();
    }
    function abort(): void {
      end();
      reject(signal.reason);
    }
    function begin(): void {
      cancelNext();
      const address = addresses[begun];
      if (address === undefined) return;
      begun += 1;
      const socket = connect(address, port);
      attempts.add(socket);
      // Stays for good: the new owner of the socket listens for errors too, but a moment later.
      socket.on('error', (error) => {
        if (!attempts.delete(socket)) return;
        errors.push(error);
        if (begun < addresses.length) begin();
        else if (attempts.size === 0) {
          end();
          reject(mostTelling(errors));
        }
      });
      socket.once('connect', () => {
        if (!attempts.delete(socket)) return;
        end();
        found(socket);
      });
      if (begun < addresses.length) cancelNext = schedule(begin, ATTEMPT_DELAY_MS);
    }

    signal.addEventListener('abort', abort, { once: true });
    if (addresses.length === 0) {
      end();
      reject(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }));
    } else begin();
  });
}

function mostTelling(errors: readonly unknown[]): unknown {
  return errors.find((error) => !NO_ROUTE.has((error as { code?: unknown }).code)) ?? errors[0];
}
