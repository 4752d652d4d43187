import { lookup } from 'node:dns/promises';
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { authority } from '../platform/authority.ts';
import { type OutboundProxy, targetOf } from '../platform/outbound/choose-proxy.ts';
import type { Outbound } from '../platform/platform.ts';
import { failed, type Outcome, ok, warning } from './findings.ts';

/** For each step of a check: 5 seconds. */
export const STEP_TIMEOUT_MS = 5000;

/** Can the name be resolved that is connected to, which is the proxy's where there is one? */
export async function checkDns(url: URL, { chooseProxy }: Outbound): Promise<Outcome> {
  const target = targetOf(url);
  const proxy = chooseProxy(target);
  const { hostname } = proxy ?? target;
  try {
    const addresses = await within(lookup(hostname, { all: true }));
    const found = `${hostname} is ${addresses.map(({ address }) => address).join(', ')}`;
    return ok(proxy === undefined ? found : `left to ${nameOf(proxy)}: ${found}`);
  } catch (error) {
    return failed(
      `${hostname} cannot be resolved (${codeOf(error)})`,
      `Check ${proxy?.setting ?? 'CCE_REGION or CCE_ENDPOINT'}, the name server of this machine, and whether its network policy lets port 53 through.`,
    );
  }
}

/** Can a connection be made, on the way that the service takes, and is the other side who it should be? */
export async function checkConnection(url: URL, { chooseProxy, connect }: Outbound): Promise<Outcome> {
  const target = targetOf(url);
  const proxy = chooseProxy(target);
  const where = authority(target.hostname, target.port);
  const way = proxy === undefined ? '' : ` through ${nameOf(proxy)}`;
  let socket: Socket | undefined;
  try {
    socket = await within(connect(target));
    if (!(socket instanceof TLSSocket)) return ok(`${where} answers${way}, without TLS`);
    const { issuer, valid_to } = socket.getPeerCertificate();
    const daysLeft = Math.floor((Date.parse(valid_to) - Date.now()) / 86_400_000);
    return ok(
      `${where} answers${way}; its certificate is by ${plain(issuer?.O ?? issuer?.CN)}, for ${daysLeft} days`,
    );
  } catch (error) {
    return explainConnection(error, where, proxy);
  } finally {
    socket?.on('error', () => undefined).destroy();
  }
}

/** The proxy with the setting that names it, without its user name and password. */
function nameOf({ setting, hostname, port }: OutboundProxy): string {
  return `the proxy ${authority(hostname, port)} of ${setting}`;
}

const CERTIFICATE_CODES =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/;

function explainConnection(error: unknown, where: string, proxy: OutboundProxy | undefined): Outcome {
  const code = codeOf(error);
  if (proxy !== undefined && code.startsWith('proxy_')) return explainProxy(error, code, proxy);
  if (CERTIFICATE_CODES.test(code))
    return failed(
      `${where} shows a certificate that is not trusted (${code})`,
      'A proxy that opens TLS may be in the way: let this host pass it unopened, or trust its authority with NODE_EXTRA_CA_CERTS, which an endpoint with a private authority needs too.',
    );
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code.startsWith('ERR_SSL_'))
    return failed(
      `${where} does not speak TLS (${code})`,
      'Check the port in CCE_ENDPOINT, and whether a proxy answers there.',
    );
  if (code === 'ECONNREFUSED')
    return failed(`${where} refuses connections`, 'Check the host and port in CCE_ENDPOINT.');
  return failed(
    `${where} cannot be reached${proxy === undefined ? ' directly' : ` through ${nameOf(proxy)}`} (${code})`,
    proxy === undefined
      ? 'Check that firewalls, security groups and the network policy let this port out. Where only a proxy may leave, set HTTPS_PROXY.'
      : `Check that the proxy lets this port out, or name the host in NO_PROXY.`,
  );
}

function explainProxy(error: unknown, code: string, proxy: OutboundProxy): Outcome {
  const { setting } = proxy;
  const [what, remedy] =
    code === 'proxy_authentication_required'
      ? [
          'wants another user name or password (407)',
          `Check the user name and password in ${setting}: each is percent-encoded.`,
        ]
      : code === 'proxy_timeout'
        ? ['does not answer in time', `Check the host and port in ${setting}, and the way to the proxy.`]
        : code === 'proxy_unreachable'
          ? [
              `cannot be reached (${codeOf((error as Error).cause)})`,
              `Check the scheme, host and port in ${setting}, and whether the network policy lets its port out.`,
            ]
          : code === 'proxy_no_answer'
            ? [
                'closes the connection without an answer, or does not speak HTTP',
                `Check the scheme and port in ${setting}.`,
              ]
            : [
                `refuses the connection (${code})`,
                'Ask for this host and port to be permitted at the proxy, or name the host in NO_PROXY.',
              ];
  return failed(`${nameOf(proxy)} ${what}`, remedy);
}

/** Can the service listen where it is told to? */
export async function checkPort(name: string, host: string, port: number): Promise<Outcome> {
  if (port === 0) return ok(`${name}=0`);
  const server = createServer();
  try {
    await within(
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => resolve());
      }),
    );
    return ok(`${authority(host, port)} is free`);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EADDRINUSE')
      return warning(
        `${authority(host, port)} is taken`,
        `Nothing to do if it is this service that runs there; else set ${name}.`,
      );
    return failed(`${authority(host, port)} cannot be listened on (${code})`, `Check HOST and ${name}.`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Rejects after the time of a step. */
export async function within<Value>(work: Promise<Value>, timeoutMs = STEP_TIMEOUT_MS): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('too late'), { code: 'TIMEOUT' })), timeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** A proxy's code, else the first code along the causes: a word of Node's or ours. */
export function codeOf(error: unknown): string {
  const codes: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    const { code } = current as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(code)) codes.push(code);
    else if (current instanceof AggregateError && current.errors.length > 0)
      codes.push(codeOf(current.errors[0]));
  }
  const named = codes.find((code) => code.startsWith('proxy_')) ?? codes[0];
  return named ?? (error instanceof Error ? error.name : 'unknown');
}

/** What others chose to call themselves, fit for a terminal. */
export function plain(text: unknown): string {
  const safe = String(text ?? 'unknown').replace(/[^ -~]/g, '?');
  return safe.length > 64 ? `${safe.slice(0, 64)}…` : safe;
}
