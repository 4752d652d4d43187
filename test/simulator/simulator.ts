import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { AccessKeys } from './access-keys.ts';
import { type Answer, authenticationError, gatewayHeaders, iamError, notFoundError } from './answers.ts';
import { AuthTokens } from './auth-tokens.ts';
import { NORMAL_RULE, type RuleInput } from './behaviours.ts';
import { CONTROL_PREFIX, handleControl } from './control-api.ts';
import { Gates } from './gates.ts';
import { makeImageCaches } from './image-cache-data.ts';
import { answerImageCaches, IMAGE_CACHES_PATH, type Project } from './image-caches-endpoint.ts';
import {
  DEFAULT_METADATA_OPTIONS,
  METADATA_TOKEN_PATH,
  type MetadataOptions,
  MetadataService,
  SECURITY_KEY_PATH,
} from './metadata-service.ts';
import { planAnswer } from './plan-answer.ts';
import { DEFAULT_POD_IDENTITY_OPTIONS, PodIdentity, type PodIdentityOptions } from './pod-identity.ts';
import { answerProjects, PROJECTS_PATH } from './projects-endpoint.ts';
import { type RecordedRequest, RequestLog } from './request-log.ts';
import { Script } from './script.ts';
import {
  ASSUME_PATH,
  ASSUME_WITH_OIDC_PATH,
  DEFAULT_STS_OPTIONS,
  SecurityTokenService,
  type SecurityTokenServiceOptions,
} from './security-token-service.ts';
import { sendAnswer } from './send-answer.ts';
import { TemporaryCredentials } from './temporary-credentials.ts';
import type { AccessKey, HeaderPair } from './verify-signature.ts';

export type { RuleInput } from './behaviours.ts';
export type { Project } from './image-caches-endpoint.ts';
export type { RecordedRequest } from './request-log.ts';
export type { AccessKey } from './verify-signature.ts';

/** The invented key pair that is known when no other is given. */
export const DEFAULT_ACCESS_KEY: Readonly<AccessKey> = Object.freeze({
  accessKeyId: 'SIMULATORACCESSKEY01',
  secretAccessKey: 'SimulatorSecretKeyThatIsNotARealOne00001',
});

/** The invented project that the account has when no other is given. */
export const DEFAULT_PROJECT: Readonly<Project> = Object.freeze({
  id: '0123456789abcdef0123456789abcdef',
  name: 'cn-north-4',
});

/** Requests without a good signature or token are refused here. */
const SIGNED_ROUTES = [`GET ${IMAGE_CACHES_PATH}`, `GET ${PROJECTS_PATH}`, `POST ${ASSUME_PATH}`];

/** A larger request body closes the connection; no endpoint here needs more. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Longer than clients keep idle connections, so that none meets a closed one by accident. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

export interface SimulatorOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default Date.now. The skew is added to it. */
  now?: () => number;
  /** Default: DEFAULT_ACCESS_KEY alone. */
  accessKeys?: readonly AccessKey[];
  /** Default: DEFAULT_PROJECT alone. With an empty list any X-Project-Id passes. */
  projects?: readonly Project[];
  /** Default: 50 invented ones. Taken as they are, so that a test can give bad ones. */
  imageCaches?: readonly unknown[];
}

/** A running stand-in. All that it holds can also be seen and changed over its control API. */
export interface Simulator {
  readonly url: string;
  readonly port: number;
  /** Variables that point the service, or an SDK client, here. */
  readonly environment: Readonly<Record<string, string>>;

  /** Adds rules for coming requests, used in this order, and closes their gates; throws when one is bad. */
  script(...rules: RuleInput[]): void;
  /** Takes all rules out of the queue. */
  clearScript(): void;

  /** Holds every matching request at the gate until it is released. */
  hold(gate: string, rule?: Omit<RuleInput, 'gate'>): void;
  /** Opens the gate, or with a count lets that many go and keeps it closed. */
  release(gate: string, count?: number): void;
  /** Resolves when so many requests have arrived at the gate since it was last closed. Rejects on reset and stop. */
  arrived(gate: string, count?: number): Promise<void>;
  /** Resolves when so many clients went away while they were held. */
  abandoned(gate: string, count?: number): Promise<void>;

  /** The last 10,000 requests, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** Requests since the start or the last reset, of one path or all. */
  count(path?: string): number;
  /** Connections that carried at least one request. */
  readonly connectionCount: number;
  /** Resolves when so many requests have arrived. */
  received(count: number, path?: string): Promise<void>;
  /** Resolves when every request is answered or given up. */
  idle(): Promise<void>;
  /** Forgets the recorded requests and sets the counters to zero, nothing else. */
  forgetRequests(): void;

  /** The simulator's time in milliseconds. */
  now(): number;
  /** Sets its clock that far ahead of the real one, or behind. */
  setClockSkewMs(skewMs: number): void;
  /** Replaces the image caches, or with undefined brings back the first ones. */
  setImageCaches(imageCaches: readonly unknown[] | undefined): void;
  /** Replaces the projects of the account, or with undefined brings back the first ones. */
  setProjects(projects: readonly Project[] | undefined): void;
  readonly credentials: AccessKeys;
  /** Tokens that are accepted in X-Auth-Token: none at the start. */
  readonly authTokens: AuthTokens;
  setMetadata(options: Partial<MetadataOptions>): void;
  /** Makes the metadata service refuse every session token that it has issued. */
  invalidateSessionTokens(): void;
  setPodIdentity(options: Partial<PodIdentityOptions>): void;
  setSts(options: Partial<SecurityTokenServiceOptions>): void;

  /** The rules in the queue. */
  readonly pendingRules: ReturnType<Script['pending']>;
  /** Everything as after the start: records, rules, gates, clock, data, credentials, lockouts. */
  reset(): void;
  /** Releases all gates, closes all connections and frees the port. */
  stop(): Promise<void>;
}

/** Starts the stand-in for CCE, IAM, STS and the credential endpoints on one port. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const host = options.host ?? '127.0.0.1';
  const firstKeys = options.accessKeys ?? [DEFAULT_ACCESS_KEY];
  const firstProjects = options.projects ?? [DEFAULT_PROJECT];
  const firstImageCaches = options.imageCaches ?? makeImageCaches();

  const accessKeys = new AccessKeys(firstKeys);
  const authTokens = new AuthTokens();
  const temporaryCredentials = new TemporaryCredentials(accessKeys);
  const metadata = new MetadataService(temporaryCredentials);
  const podIdentity = new PodIdentity(temporaryCredentials);
  const sts = new SecurityTokenService(temporaryCredentials);
  const script = new Script();
  const gates = new Gates();
  const log = new RequestLog();
  const sockets = new Map<Socket, { id: number; requests: number; gone: AbortController }>();
  let projects = firstProjects;
  let imageCaches = firstImageCaches;
  let clockSkewMs = 0;
  let connections = 0;
  let requestIds = 0;

  const now = () => (options.now ?? Date.now)() + clockSkewMs;

  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS });
  server.on('connection', (socket) => {
    const gone = new AbortController();
    connections += 1;
    sockets.set(socket, { id: connections, requests: 0, gone });
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      gone.abort();
    });
  });
  server.on('request', (request, response) => {
    const { pathname } = targetOf(request);
    if (pathname === CONTROL_PREFIX || pathname.startsWith(`${CONTROL_PREFIX}/`)) {
      void handleControl(simulator, request, response);
    } else void handle(request, response);
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const connection = sockets.get(socket);
    if (connection === undefined) return;
    const { pathname: path, query } = targetOf(request);
    const method = request.method ?? '';
    const headers = pairsOf(request.rawHeaders);
    const recorded = log.add({
      atMs: now(),
      method,
      url: request.url ?? '',
      path,
      headers,
      bodyBytes: 0,
      socketId: connection.id,
      reusedSocket: connection.requests > 0,
      authentication: 'pending',
      outcome: 'open',
    });
    connection.requests += 1;
    let isSent = false;
    response.on('error', () => {});
    response.on('close', () =>
      log.finish(recorded, isSent || response.writableFinished ? 'answered' : 'aborted'),
    );

    try {
      const body = await readBody(request);
      recorded.bodyBytes = body.length;
      const nowMs = now();
      requestIds += 1;
      const requestId = requestIds.toString(16).padStart(32, '0');
      const rule = script.find({ method, path, query, reusedSocket: recorded.reusedSocket });
      const refused = authenticate(recorded, body, rule?.verify ?? true, requestId, nowMs);
      if (rule !== undefined && refused === undefined) script.use(rule);
      const used = refused === undefined ? (rule ?? NORMAL_RULE) : NORMAL_RULE;
      const normal = refused ?? answer(recorded, query, body, requestId, nowMs);
      const plan = planAnswer(used.answer, normal, {
        method,
        path,
        url: recorded.url,
        headers,
        requestId,
        nowMs,
      });
      if (plan.kind === 'message') recorded.status = plan.status;
      const exchange = { response, socket, signal: connection.gone.signal };
      isSent = await sendAnswer(exchange, plan, used, gates, gatewayHeaders(requestId, nowMs));
    } catch (error) {
      // The client is gone, or the answer could not be written: either way this connection is of no more use.
      if (!connection.gone.signal.aborted) socket.destroy(error instanceof Error ? error : undefined);
    }
  }

  /** Undefined when the request may pass, else the refusal. */
  function authenticate(
    recorded: RecordedRequest,
    body: Buffer,
    verify: boolean,
    requestId: string,
    nowMs: number,
  ): Answer | undefined {
    const isSigned = SIGNED_ROUTES.includes(`${recorded.method} ${recorded.path}`);
    if (!verify || !isSigned) {
      recorded.authentication = 'none';
      return undefined;
    }
    const { method, url: rawUrl, headers } = recorded;
    const verification =
      authTokens.authenticate(headers) ?? accessKeys.authenticate({ method, rawUrl, headers, body }, nowMs);
    recorded.authentication = verification.accepted ? 'accepted' : verification.reason;
    if (verification.accepted) return undefined;
    return recorded.path === PROJECTS_PATH
      ? iamError(401, 'Unauthorized', `Incorrect IAM authentication information: ${verification.text}`)
      : authenticationError(verification.text, requestId);
  }

  function answer(
    recorded: RecordedRequest,
    query: URLSearchParams,
    body: Buffer,
    requestId: string,
    nowMs: number,
  ): Answer {
    const { headers } = recorded;
    switch (`${recorded.method} ${recorded.path}`) {
      case `GET ${IMAGE_CACHES_PATH}`: {
        const projectId = headers.find(([name]) => name.toLowerCase() === 'x-project-id')?.[1];
        return answerImageCaches({ query, projectId, projects, imageCaches, requestId });
      }
      case `GET ${PROJECTS_PATH}`:
        return answerProjects(query, projects);
      case `PUT ${METADATA_TOKEN_PATH}`:
        return metadata.answerToken(headers, nowMs);
      case `GET ${SECURITY_KEY_PATH}`:
        return metadata.answerSecurityKey(headers, nowMs);
      case `POST ${podIdentity.options.path}`:
        return podIdentity.answerCredentials(headers, body, nowMs);
      case `POST ${ASSUME_PATH}`:
        return sts.answerAssume(headers, body, nowMs);
      case `POST ${ASSUME_WITH_OIDC_PATH}`:
        return sts.answerAssumeWithOidc(headers, body, nowMs);
      default:
        return notFoundError(requestId);
    }
  }

  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

  const simulator: Simulator = {
    url,
    port,
    environment: environmentFor(url, firstKeys[0], firstProjects[0]),
    script(...rules) {
      script.add(rules);
      for (const { gate } of rules) if (gate !== undefined) gates.close(gate);
    },
    clearScript: () => script.clear(),
    hold(gate, rule) {
      script.add([{ times: 'always', ...rule, gate }], gate);
      gates.close(gate);
    },
    release(gate, count) {
      if (count === undefined) script.gateReleased(gate);
      gates.release(gate, count);
    },
    arrived: (gate, count) => gates.arrived(gate, count),
    abandoned: (gate, count) => gates.abandoned(gate, count),
    requests: log.requests,
    count: (path) => log.count(path),
    get connectionCount() {
      return log.connectionCount;
    },
    received: (count, path) => log.received(count, path),
    idle: () => log.idle(),
    forgetRequests: () => log.reset(),
    now,
    setClockSkewMs(skewMs) {
      clockSkewMs = skewMs;
    },
    setImageCaches(replacement) {
      imageCaches = replacement ?? firstImageCaches;
    },
    setProjects(replacement) {
      projects = replacement ?? firstProjects;
    },
    credentials: accessKeys,
    authTokens,
    setMetadata(changed) {
      metadata.options = { ...metadata.options, ...changed };
    },
    invalidateSessionTokens: () => metadata.invalidateSessionTokens(),
    setPodIdentity(changed) {
      podIdentity.options = { ...podIdentity.options, ...changed };
    },
    setSts(changed) {
      sts.options = { ...sts.options, ...changed };
    },
    get pendingRules() {
      return script.pending();
    },
    reset() {
      script.clear();
      gates.reset();
      log.reset();
      accessKeys.replace(firstKeys);
      authTokens.clear();
      metadata.options = { ...DEFAULT_METADATA_OPTIONS };
      metadata.invalidateSessionTokens();
      podIdentity.options = { ...DEFAULT_POD_IDENTITY_OPTIONS };
      sts.options = { ...DEFAULT_STS_OPTIONS };
      projects = firstProjects;
      imageCaches = firstImageCaches;
      clockSkewMs = 0;
    },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const [socket, { gone }] of sockets) {
        gone.abort();
        socket.destroy();
      }
      gates.reset();
      await closed;
      log.rejectWaiters(new Error('the simulator was stopped'));
    },
  };
  return simulator;
}

function environmentFor(url: string, key: AccessKey | undefined, project: Project | undefined) {
  const region = (project?.name ?? 'cn-north-4').toUpperCase().replaceAll('-', '_');
  return {
    CCE_ENDPOINT: url,
    HUAWEICLOUD_SDK_AK: key?.accessKeyId ?? '',
    HUAWEICLOUD_SDK_SK: key?.secretAccessKey ?? '',
    ...(key?.securityToken === undefined ? {} : { HUAWEICLOUD_SDK_SECURITY_TOKEN: key.securityToken }),
    ...(project === undefined ? {} : { HUAWEICLOUD_SDK_PROJECT_ID: project.id }),
    [`HUAWEICLOUD_SDK_REGION_CCE_${region}`]: url,
    HUAWEICLOUD_SDK_IAM_ENDPOINT: url,
  };
}

function targetOf(request: IncomingMessage): { pathname: string; query: URLSearchParams } {
  const url = request.url ?? '';
  const at = url.indexOf('?');
  return at === -1
    ? { pathname: url, query: new URLSearchParams() }
    : { pathname: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) };
}

function pairsOf(rawHeaders: readonly string[]): HeaderPair[] {
  const pairs: HeaderPair[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    pairs.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']);
  return pairs;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('request body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
