import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Config, ProxyConfig } from '../../../../config/config.ts';

/** Where a connection leads. */
export interface Target {
  readonly isTls: boolean;
  /** A name, or an address without brackets. */
  readonly hostname: string;
  readonly port: number;
}

export interface OutboundProxy {
  /** The setting that names it. */
  readonly setting: string;
  /** The connection to the proxy itself is one by TLS. */
  readonly isTls: boolean;
  /** A name, or an address without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** The value of Proxy-Authorization: a secret. */
  readonly authorization: string | undefined;
}

/** Undefined: the target is connected to directly. */
export type ChooseProxy = (target: Target) => OutboundProxy | undefined;

/**
 * Which proxy a connection goes through. Loopback, link-local addresses and `directUrls` are always connected to directly,
 * so is what NO_PROXY names. Names are compared as they are written: no look-up is made.
 *
 * @param directUrls what is of this machine, such as the pod's identity
 */
export function createProxyChooser(
  { httpsProxy, httpProxy, noProxy }: Config['network'],
  directUrls: readonly string[] = [],
): ChooseProxy {
  const [forTls, forPlain] = [httpsProxy, httpProxy].map((proxy) => proxy && readProxy(proxy));
  const rules = [...noProxy.map(toRule), ...directUrls.map((url) => exactly(targetOf(new URL(url))))];
  return (target) => {
    const proxy = target.isTls ? forTls : forPlain;
    if (proxy === undefined) return undefined;
    const hostname = normalise(target.hostname);
    const isDirect = isLocal(hostname) || rules.some((rule) => rule(hostname, target.port));
    return isDirect ? undefined : proxy;
  };
}

export function targetOf({ protocol, hostname, port }: URL): Target {
  const isTls = protocol === 'https:';
  return { isTls, hostname: withoutBrackets(hostname), port: Number(port || (isTls ? 443 : 80)) };
}

function readProxy({ setting, url }: ProxyConfig): OutboundProxy {
  const parsed = new URL(url);
  const [username, password] = [parsed.username, parsed.password].map(decodeURIComponent);
  const hasCredentials = parsed.username !== '' || parsed.password !== '';
  const encoded = Buffer.from(`${username}:${password}`).toString('base64');
  return { setting, ...targetOf(parsed), authorization: hasCredentials ? `Basic ${encoded}` : undefined };
}

/** True for what is connected to directly. */
type Rule = (hostname: string, port: number) => boolean;

const exactly =
  (target: Target): Rule =>
  (hostname, port) =>
    hostname === normalise(target.hostname) && port === target.port;

const WITH_PORT = /^(?<host>\[[^\]]+\]|[^:]+):(?<port>\d+)$/;

/** An item of NO_PROXY; its form has been checked. */
function toRule(item: string): Rule {
  if (item === '*') return () => true;
  if (item.includes('/')) return inList(subnets([item]));
  const groups = WITH_PORT.exec(item)?.groups;
  const host = normalise(withoutBrackets(groups?.host ?? item)).replace(/^\*?\./, '');
  const matches = isIP(host) === 0 ? below(host) : inList(addresses([host]));
  const onlyPort = groups?.port === undefined ? undefined : Number(groups.port);
  return (hostname, port) => (onlyPort === undefined || port === onlyPort) && matches(hostname, port);
}

/** The name itself and all names below it. */
function below(name: string): Rule {
  return (hostname) => isIP(hostname) === 0 && (hostname === name || hostname.endsWith(`.${name}`));
}

function inList(list: BlockList): Rule {
  return (hostname) => isIP(hostname) !== 0 && list.check(hostname, familyOf(hostname));
}

const LOCAL_ADDRESSES = subnets(['127.0.0.0/8', '::1/128', '169.254.0.0/16', 'fe80::/10']);
const isLocalAddress = inList(LOCAL_ADDRESSES);
const isLocalName = below('localhost');

function isLocal(hostname: string): boolean {
  return isLocalName(hostname, 0) || isLocalAddress(hostname, 0);
}

function subnets(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, prefix] = network.split('/') as [string, string];
    list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return list;
}

function addresses(all: readonly string[]): BlockList {
  const list = new BlockList();
  for (const address of all) list.addAddress(address, familyOf(address));
  return list;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}

/** A name as it is compared: in lower case, without the dot that ends an absolute one. */
function normalise(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '');
}

function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}
