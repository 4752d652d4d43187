import { lookup } from 'node:dns/promises';
import { connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { authority } from '../platform/authority.ts';
import { failed, type Outcome, ok, warning } from './findings.ts';

/** For each step of a check: 5 seconds. */
export const STEP_TIMEOUT_MS = 5000;

/** Can the name of the endpoint be resolved? */
export async function checkDns({ hostname }: URL): Promise<Outcome> {
  const host = hostname.replace(/^\[|\]$/g, '');
  try {
    const addresses = await within(lookup(host, { all: true }));
    return ok(`${host} is ${addresses.map(({ address }) => address).join(', ')}`);
  } catch (error) {
    return failed(
      `${host} cannot be resolved (${codeOf(error)})`,
      'Check CCE_REGION or CCE_ENDPOINT, the name server of this machine, and whether its network policy lets port 53 through.',
    );
  }
}

/** Can a connection be made, and is the other side who it should be? */
export async function checkConnection(url: URL): Promise<Outcome> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isTls = url.protocol === 'https:';
  const port = Number(url.port || (isTls ? 443 : 80));
  const where = authority(host, port);
  const socket = isTls
    ? connectTls({ host, port, servername: serverName(host) })
    : connectTcp({ host, port });
  try {
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once(isTls ? 'secureConnect' : 'connect', () => resolve());
        socket.once('error', reject);
      }),
    );
    if (!isTls) return ok(`${where} answers, without TLS`);
    const { issuer, valid_to } = (socket as TLSSocket).getPeerCertificate();
    const daysLeft = Math.floor((Date.parse(valid_to) - Date.now()) / 86_400_000);
    return ok(
      `${where} answers; its certificate is by ${plain(issuer?.O ?? issuer?.CN)}, for ${daysLeft} days`,
    );
  } catch (error) {
    return explainConnection(codeOf(error), where);
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

function serverName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host;
}

const CERTIFICATE_CODES =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/;

function explainConnection(code: string, where: string): Outcome {
  if (CERTIFICATE_CODES.test(code))
    return failed(
      `${where} shows a certificate that is not trusted (${code})`,
      'A proxy that opens TLS may be in the way: let this host pass it unopened. An endpoint with a private authority needs NODE_EXTRA_CA_CERTS.',
    );
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code.startsWith('ERR_SSL_'))
    return failed(
      `${where} does not speak TLS (${code})`,
      'Check the port in CCE_ENDPOINT, and whether a proxy answers there.',
    );
  if (code === 'ECONNREFUSED')
    return failed(`${where} refuses connections`, 'Check the host and port in CCE_ENDPOINT.');
  const proxy = proxySettings();
  const hint =
    proxy.length === 0
      ? ''
      : ` ${proxy.join(' and ')} of this environment ${proxy.length > 1 ? 'are' : 'is'} not used by this service, which connects directly.`;
  return failed(
    `${where} cannot be reached (${code})`,
    `Check that firewalls, security groups and the network policy let this port out.${hint}`,
  );
}

/** Names only: their values may hold a password. */
function proxySettings(): string[] {
  return ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY'].filter((name) => (process.env[name] ?? '') !== '');
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

/** The first code along the causes: a word of Node's or ours. */
export function codeOf(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    const { code } = current as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(code)) return code;
    if (current instanceof AggregateError && current.errors.length > 0) return codeOf(current.errors[0]);
  }
  return error instanceof Error ? error.name : 'unknown';
}

/** What others chose to call themselves, fit for a terminal. */
export function plain(text: unknown): string {
  const safe = String(text ?? 'unknown').replace(/[^ -~]/g, '?');
  return safe.length > 64 ? `${safe.slice(0, 64)}…` : safe;
}
