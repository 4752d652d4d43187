import { once } from 'node:events';
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rule } from './behaviours.ts';
import type { Gates } from './gates.ts';
import type { WirePlan } from './plan-answer.ts';
import type { HeaderPair } from './verify-signature.ts';

export interface Exchange {
  response: ServerResponse;
  socket: Socket;
  /** Aborts when the connection is gone. */
  signal: AbortSignal;
}

type MessagePlan = Extract<WirePlan, { kind: 'message' }>;

/**
 * Sends one answer with the waits and distortions of its rule; `gatewayHeaders` are on every real message.
 * True when a whole message was sent. Rejects when the connection is gone.
 */
export async function sendAnswer(
  exchange: Exchange,
  plan: WirePlan,
  rule: Rule,
  gates: Gates,
  gatewayHeaders: HeaderPair[],
): Promise<boolean> {
  const { socket, signal } = exchange;
  if (rule.gate !== undefined && rule.gateAt === 'before-headers') await gates.pass(rule.gate, signal);
  await pause(rule.delayBeforeHeadersMs, signal);
  signal.throwIfAborted();
  if (rule.earlyHints) socket.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n');

  switch (plan.kind) {
    case 'hang':
      return false;
    case 'reset':
      socket.resetAndDestroy();
      return false;
    case 'close':
      socket.destroySoon();
      return false;
    case 'raw':
      await write(socket, plan.bytes, signal);
      if (!plan.keepOpen) socket.destroySoon();
      return false;
    case 'message': {
      const headers = [...adjust(gatewayHeaders, rule), ...plan.headers, ...rule.extraHeaders];
      if (plan.declaredBytes !== null) headers.push(['Content-Length', String(plan.declaredBytes)]);
      if (rule.slowHeaders === undefined) await sendMessage(exchange, plan, headers, rule, gates);
      else await sendMessageSlowly(exchange, plan, headers, rule, rule.slowHeaders.intervalMs, gates);
      return plan.ending === 'complete';
    }
  }
}

function adjust(gatewayHeaders: HeaderPair[], { omitHeaders, dateHeader }: Rule): HeaderPair[] {
  const omitted = omitHeaders.map((name) => name.toLowerCase());
  if (dateHeader !== undefined) omitted.push('date');
  const kept = gatewayHeaders.filter(([name]) => !omitted.includes(name.toLowerCase()));
  return typeof dateHeader === 'string' ? [['Date', dateHeader], ...kept] : kept;
}

async function sendMessage(
  { response, socket, signal }: Exchange,
  plan: MessagePlan,
  headers: HeaderPair[],
  rule: Rule,
  gates: Gates,
): Promise<void> {
  // The Date header is one of `headers`, or is left out on purpose.
  response.sendDate = false;
  response.writeHead(plan.status, headers.flat());
  response.flushHeaders();
  await waitBeforeBody(rule, gates, signal);
  for await (const piece of piecesOf(plan.body, rule, signal)) {
    if (!response.write(piece)) await once(response, 'drain', { signal });
  }
  if (plan.ending === 'complete') response.end();
  else if (plan.ending === 'close') socket.destroySoon();
  else if (plan.ending === 'reset') {
    // An empty write calls back once all before it is with the kernel.
    await write(socket, Buffer.alloc(0), signal);
    socket.resetAndDestroy();
  }
}

async function sendMessageSlowly(
  { socket, signal }: Exchange,
  plan: MessagePlan,
  headers: HeaderPair[],
  rule: Rule,
  intervalMs: number,
  gates: Gates,
): Promise<void> {
  const lines = [...headers, ['Connection', 'close']].map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${plan.status} ${STATUS_CODES[plan.status] ?? ''}\r\n${lines.join('')}\r\n`;
  for (const byte of Buffer.from(head, 'latin1')) {
    await write(socket, Buffer.of(byte), signal);
    await pause(intervalMs, signal);
  }
  await waitBeforeBody(rule, gates, signal);
  for await (const piece of piecesOf(plan.body, rule, signal)) await write(socket, piece, signal);
  if (plan.ending === 'reset') socket.resetAndDestroy();
  else if (plan.ending !== 'unfinished') socket.destroySoon();
}

async function waitBeforeBody(rule: Rule, gates: Gates, signal: AbortSignal): Promise<void> {
  if (rule.gate !== undefined && rule.gateAt === 'before-body') await gates.pass(rule.gate, signal);
  await pause(rule.delayBeforeBodyMs, signal);
  signal.throwIfAborted();
}

async function* piecesOf(
  body: Buffer | AsyncIterable<Buffer>,
  { slowBody }: Rule,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const chunk of Buffer.isBuffer(body) ? [body] : body) {
    const pieceBytes = slowBody?.pieceBytes ?? Math.max(1, chunk.length);
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      yield chunk.subarray(at, at + pieceBytes);
      await pause(slowBody?.intervalMs ?? 0, signal);
    }
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs > 0) await sleep(delayMs, undefined, { signal });
}

function write(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error == null ? resolve() : reject(error)));
  });
}
