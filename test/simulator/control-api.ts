import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { RuleInput } from './behaviours.ts';
import type { Simulator } from './simulator.ts';

/** Everything below this path belongs to the control API; it needs no signature and is not recorded. */
export const CONTROL_PREFIX = '/__control';

const MAX_POLL_MS = 60_000;
const MAX_CONTROL_BODY_BYTES = 16 * 1024 * 1024;

const accessKeySchema = z.strictObject({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  securityToken: z.string().min(1).optional(),
  expiresAtMs: z.number().int().optional(),
});
const fractionDigits = z.union([z.literal(0), z.literal(6)]);
const lifetimeSeconds = z.number().int().min(1);
const gateSchema = z.string().min(1).max(100);
const countSchema = z.coerce.number().int().min(1);

const metadataSchema = z.strictObject({
  sessionTokens: z.union([z.literal('issued'), z.literal(404), z.literal(405), z.literal(503)]).optional(),
  lifetimeSeconds: lifetimeSeconds.optional(),
  expiryFractionDigits: fractionDigits.optional(),
});
const podIdentitySchema = z.strictObject({
  path: z.string().startsWith('/').optional(),
  token: z.string().min(1).optional(),
  lifetimeSeconds: lifetimeSeconds.optional(),
  expiryFractionDigits: fractionDigits.optional(),
});
const stsSchema = z.strictObject({
  providerUrn: z.string().min(1).optional(),
  oidcAgencyUrn: z.string().min(1).optional(),
  idTokens: z.array(z.string().min(1)).optional(),
  agencyUrn: z.string().min(1).optional(),
  expiryErrorMs: z.number().int().optional(),
  spelling: z.enum(['snake', 'camel', 'short']).optional(),
});
// The rule is checked by hold() itself.
const holdSchema = z.strictObject({ gate: gateSchema, rule: z.looseObject({}).optional() });
const releaseSchema = z.strictObject({ gate: gateSchema, count: countSchema.optional() });
const projectSchema = z.strictObject({ id: z.string().min(1), name: z.string().min(1) });
const pollSchema = z.object({
  count: countSchema.default(1),
  timeoutMs: z.coerce.number().int().min(0).max(MAX_POLL_MS).default(30_000),
});

interface Call {
  simulator: Simulator;
  query: URLSearchParams;
  body: unknown;
  /** Aborts when the client of the control API goes away. */
  gone: AbortSignal;
}

type Handler = (call: Call) => unknown;

/** One line each: the list that `GET /__control` answers is made of it. */
const HANDLERS: Record<string, Handler> = {
  'GET /': () => ({
    endpoints: Object.keys(HANDLERS).map((route) => route.replace(' ', ` ${CONTROL_PREFIX}`)),
  }),
  'GET /script': ({ simulator }) => ({ rules: simulator.pendingRules }),
  'POST /script': ({ simulator, body }) => {
    simulator.script(...((Array.isArray(body) ? body : [body]) as RuleInput[]));
    return { rules: simulator.pendingRules.length };
  },
  'DELETE /script': ({ simulator }) => simulator.clearScript(),
  'POST /hold': ({ simulator, body }) => {
    const { gate, rule } = holdSchema.parse(body);
    simulator.hold(gate, rule as RuleInput | undefined);
  },
  'POST /release': ({ simulator, body }) => {
    const { gate, count } = releaseSchema.parse(body);
    simulator.release(gate, count);
  },
  'GET /arrived': (call) => poll(call, (count) => call.simulator.arrived(gateOf(call), count)),
  'GET /abandoned': (call) => poll(call, (count) => call.simulator.abandoned(gateOf(call), count)),
  'GET /received': (call) =>
    poll(call, (count) => call.simulator.received(count, call.query.get('path') ?? undefined)),
  'GET /idle': (call) => poll(call, () => call.simulator.idle()),
  'GET /requests': ({ simulator, query }) => {
    const path = query.get('path');
    const matching = simulator.requests.filter((request) => path === null || request.path === path);
    const last = countSchema.parse(query.get('last') ?? 100);
    return { requests: matching.slice(-last) };
  },
  'GET /count': ({ simulator, query }) => ({
    count: simulator.count(query.get('path') ?? undefined),
    connections: simulator.connectionCount,
  }),
  'DELETE /requests': ({ simulator }) => simulator.forgetRequests(),
  'PUT /clock': ({ simulator, body }) => {
    simulator.setClockSkewMs(z.strictObject({ skewMs: z.number().int() }).parse(body).skewMs);
    return { nowMs: simulator.now() };
  },
  'PUT /image-caches': ({ simulator, body }) => simulator.setImageCaches(z.array(z.unknown()).parse(body)),
  'DELETE /image-caches': ({ simulator }) => simulator.setImageCaches(undefined),
  'PUT /projects': ({ simulator, body }) => simulator.setProjects(z.array(projectSchema).parse(body)),
  'GET /credentials': ({ simulator }) => ({ credentials: simulator.credentials.list() }),
  'PUT /credentials': ({ simulator, body }) =>
    simulator.credentials.replace(z.array(accessKeySchema).parse(body)),
  'POST /credentials': ({ simulator, body }) => simulator.credentials.add(accessKeySchema.parse(body)),
  'PUT /auth-tokens': ({ simulator, body }) => {
    simulator.authTokens.clear();
    for (const token of z.array(z.string().min(1)).parse(body)) simulator.authTokens.add(token);
  },
  'POST /unlock': ({ simulator }) => simulator.credentials.unlock(),
  'PUT /metadata': ({ simulator, body }) => simulator.setMetadata(definedOf(metadataSchema.parse(body))),
  'POST /metadata/invalidate': ({ simulator }) => simulator.invalidateSessionTokens(),
  'PUT /pod-identity': ({ simulator, body }) =>
    simulator.setPodIdentity(definedOf(podIdentitySchema.parse(body))),
  'PUT /sts': ({ simulator, body }) => simulator.setSts(definedOf(stsSchema.parse(body))),
  'POST /reset': ({ simulator }) => simulator.reset(),
};

/** Answers one request to the control API: 200 with JSON, 204, 400 with the reason, 404, or 408 on a long poll. */
export async function handleControl(
  simulator: Simulator,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = '', rawQuery = ''] = (request.url ?? '').slice(CONTROL_PREFIX.length).split('?', 2);
  const handler = HANDLERS[`${request.method} ${path === '' ? '/' : path}`];
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  try {
    if (handler === undefined)
      return answer(response, 404, { error: `no such endpoint; see GET ${CONTROL_PREFIX}` });
    const body = await readJson(request);
    const result = await handler({
      simulator,
      query: new URLSearchParams(rawQuery),
      body,
      gone: gone.signal,
    });
    if (result === TIMED_OUT) answer(response, 408, { error: 'not yet' });
    else if (result === undefined) answer(response, 204);
    else answer(response, 200, result);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String((error as Error).message);
    answer(response, 400, { error: reason });
  }
}

const TIMED_OUT = Symbol('timed out');

async function poll({ query, gone }: Call, wait: (count: number) => Promise<void>): Promise<unknown> {
  const { count, timeoutMs } = pollSchema.parse(Object.fromEntries(query));
  const { promise: ended, resolve: end } = Promise.withResolvers<typeof TIMED_OUT>();
  const timer = setTimeout(() => end(TIMED_OUT), timeoutMs);
  gone.addEventListener('abort', () => end(TIMED_OUT), { once: true });
  try {
    return await Promise.race([wait(count).then(() => ({ done: true })), ended]);
  } finally {
    clearTimeout(timer);
  }
}

function gateOf({ query }: Call): string {
  return gateSchema.parse(query.get('gate') ?? undefined);
}

function answer(response: ServerResponse, status: number, value?: unknown): void {
  if (response.destroyed) return;
  if (value === undefined) response.writeHead(status).end();
  else response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_CONTROL_BODY_BYTES) chunks.push(chunk);
  });
  await once(request, 'end');
  if (bytes > MAX_CONTROL_BODY_BYTES) throw new Error('the body is too large');
  const text = Buffer.concat(chunks).toString();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('the body is not JSON');
  }
}

/** The members that are set: an undefined one would overwrite a default. */
function definedOf<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never;
}
