import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { endianness } from 'node:os';
import { canonicalIp } from '../../../limits/ip-address.ts';

/** Linux: the TCP connections of this network namespace (proc_net_tcp.txt of the kernel's documentation). */
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
const LISTENING = '0A';

/** What clients have not acknowledged yet, in bytes, by `connectionKey`. A connection that is not in it owes nothing. */
export type UnacknowledgedBytes = ReadonlyMap<string, number>;

/** Tells the connections of a port apart. */
export function connectionKey({ localAddress = '', remoteAddress = '', remotePort = 0 }: Socket): string {
  return keyOf(canonicalIp(localAddress) ?? '', canonicalIp(remoteAddress) ?? '', remotePort);
}

/**
 * Asks the system what clients of a port have not acknowledged. Node only tells what it has handed to the system, which
 * takes some MiB and then tells in steps of a third of that.
 *
 * @returns undefined where the system does not say: elsewhere than on Linux
 */
export async function readUnacknowledgedBytes(localPort: number): Promise<UnacknowledgedBytes | undefined> {
  const texts = await Promise.all(TABLES.map((table) => readFile(table, 'latin1').catch(() => undefined)));
  if (texts.every((text) => text === undefined)) return undefined;
  const port = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const found = new Map<string, number>();
  for (const text of texts)
    for (const line of text?.split('\n') ?? []) {
      // The port of the local address stands in a fixed place, and most lines are of others.
      if (!line.includes(port)) continue;
      const [, local = '', remote = '', state, queues = ''] = line.trim().split(/\s+/);
      const bytes = Number.parseInt(queues.slice(0, 8), 16);
      if (!local.endsWith(port) || state === LISTENING || !(bytes > 0)) continue;
      const [remoteHex = '', remotePort = ''] = remote.split(':');
      const [localHex = ''] = local.split(':');
      found.set(keyOf(addressOf(localHex), addressOf(remoteHex), Number.parseInt(remotePort, 16)), bytes);
    }
  return found;
}

function keyOf(local: string, remote: string, remotePort: number): string {
  return `${local} ${remote} ${remotePort}`;
}

const IS_LITTLE_ENDIAN = endianness() === 'LE';

/** An address as the table writes it: words of 32 bits in the order of this machine. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (IS_LITTLE_ENDIAN) bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return canonicalIp(groups.join(':')) ?? '';
}
