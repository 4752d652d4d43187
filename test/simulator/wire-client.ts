import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';
import { type AccessKey, DEFAULT_ACCESS_KEY, type Simulator } from './simulator.ts';
import { formatSdkDate } from './verify-signature.ts';

export interface SignOptions {
  method?: string;
  path?: string;
  query?: Record<string, string | string[]>;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  data?: unknown;
  accessKey?: AccessKey;
  /** Default: the simulator's time. */
  atMs?: number;
}

/** Headers of a request as the official signer makes them, `host` included. */
export function signHeaders(simulator: Simulator, options: SignOptions = {}): Record<string, string> {
  const { accessKeyId, secretAccessKey, securityToken } = options.accessKey ?? DEFAULT_ACCESS_KEY;
  const request = {
    endpoint: `${simulator.url}${options.path ?? '/v5/imagecaches'}`,
    method: options.method ?? 'GET',
    headers: {
      'X-Sdk-Date': formatSdkDate(options.atMs ?? simulator.now()),
      ...(securityToken === undefined ? {} : { 'X-Security-Token': securityToken }),
      ...options.headers,
    },
    queryParams: options.query ?? {},
    ...(options.data === undefined ? {} : { data: options.data }),
  };
  const credential = { getAk: () => accessKeyId, getSk: () => secretAccessKey };
  return AKSKSigner.sign(request as never, credential as never) as Record<string, string>;
}

export interface ClientAnswer {
  status: number;
  headers: IncomingMessage['headers'];
  rawHeaders: string[];
  body: Buffer;
  text: string;
  json: () => unknown;
}

export interface SendOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  agent?: Agent;
}

/** One request with node:http; nothing is decoded or followed. */
export function send(simulator: Simulator, target: string, options: SendOptions = {}): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(simulator.url);
    const { method, headers, agent } = options;
    const request = httpRequest({
      hostname,
      port,
      path: target,
      method: method ?? 'GET',
      // Node gives a GET no framing for its body.
      headers: {
        ...headers,
        ...(options.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(options.body)) }),
      },
      ...(agent === undefined ? {} : { agent }),
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const text = body.toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          body,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    request.end(options.body);
  });
}

/** A signed `GET /v5/imagecaches`. */
export function sendSigned(
  simulator: Simulator,
  options: SignOptions = {},
  agent?: Agent,
): Promise<ClientAnswer> {
  const path = options.path ?? '/v5/imagecaches';
  const query = new URLSearchParams(
    Object.entries(options.query ?? {}).flatMap(([name, value]) =>
      [value].flat().map((one): [string, string] => [name, one]),
    ),
  ).toString();
  return send(simulator, query === '' ? path : `${path}?${query}`, {
    method: options.method ?? 'GET',
    headers: signHeaders(simulator, options),
    ...(options.data === undefined ? {} : { body: JSON.stringify(options.data) }),
    ...(agent === undefined ? {} : { agent }),
  });
}

/** The bytes of a signed `GET /v5/imagecaches` for a raw connection. */
export function signedRequestText(simulator: Simulator): string {
  const lines = Object.entries(signHeaders(simulator)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET /v5/imagecaches HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** A raw connection that keeps all it receives. */
export class RawConnection {
  received = Buffer.alloc(0);
  /** How often bytes came in. */
  arrivals = 0;
  ending: 'open' | 'fin' | 'reset' = 'open';
  readonly socket: Socket;
  private listeners: (() => void)[] = [];

  constructor(simulator: Simulator) {
    this.socket = connect({ port: simulator.port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.arrivals += 1;
      this.notify();
    });
    this.socket.on('end', () => this.end('fin'));
    this.socket.on('error', (error: NodeJS.ErrnoException) =>
      this.end(error.code === 'ECONNRESET' ? 'reset' : 'fin'),
    );
    this.socket.on('close', () => this.end('fin'));
  }

  /** What came before the first empty line. */
  get head(): string {
    return this.received.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
  }

  /** What came after it. */
  get body(): Buffer {
    const at = this.received.indexOf('\r\n\r\n');
    return at === -1 ? Buffer.alloc(0) : this.received.subarray(at + 4);
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** Resolves once the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.listeners.push(resolve);
      });
    }
  }

  /** Resolves when the other side has ended the connection. */
  async ended(): Promise<'fin' | 'reset'> {
    await this.until(() => this.ending !== 'open');
    return this.ending as 'fin' | 'reset';
  }

  close(): void {
    this.socket.destroy();
  }

  private end(how: 'fin' | 'reset'): void {
    if (this.ending === 'open') this.ending = how;
    this.notify();
  }

  private notify(): void {
    for (const listener of this.listeners.splice(0)) listener();
  }
}
