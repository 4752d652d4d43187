import {
  IncomingMessage,
  ServerResponse,
  STATUS_CODES,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Answer } from '../../../http/route.ts';

/** Node's writeHead() leaves the text of the head there until it is written. It is not documented: see takesHeadText. */
function leaveHead(outgoing: ServerResponse, text: string): void {
  (outgoing as unknown as { _header: string | null })._header = text;
}

export interface AnswerSenderOptions {
  /** The server's, which is announced to callers. Milliseconds. */
  readonly keepAliveTimeoutMs: number;
  /** Milliseconds since the epoch; the system's clock by default. */
  readonly now?: () => number;
  /** False: Node makes each head by itself. By default whether this Node takes the text of a head. */
  readonly takesHeadText?: boolean;
}

/**
 * Sends answers. The text of a head is made once for all answers that share their headers, and for each only the date
 * and the request id are put behind it: checking and joining a dozen headers anew takes Node as long as reading
 * the request and finding the answer together.
 */
export function createAnswerSender({
  keepAliveTimeoutMs,
  now = Date.now,
  takesHeadText: isFast = takesHeadText(),
}: AnswerSenderOptions): (outgoing: ServerResponse, answer: Answer) => void {
  const heads = new WeakMap<Answer['headers'], { readonly status: number; readonly text: string }>();
  const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n\r\n`;
  let dateSecond = Number.NaN;
  let dateAndKeepAlive = '';

  /** The end of every head, made once a second. */
  function end(): string {
    const nowMs = now();
    const second = Math.floor(nowMs / 1000);
    if (second !== dateSecond) {
      dateSecond = second;
      dateAndKeepAlive = `\r\nDate: ${new Date(nowMs).toUTCString()}\r\n${keepAlive}`;
    }
    return dateAndKeepAlive;
  }

  function headOf(status: number, headers: Answer['headers']): string {
    const known = heads.get(headers);
    if (known?.status === status) return known.text;
    const text = headText(status, headers);
    heads.set(headers, { status, text });
    return text;
  }

  return (outgoing, { status, headers, requestId, body }) => {
    const hasLength = headers['content-length'] !== undefined;
    if (isFast && (hasLength || status === 304) && isPlain(outgoing)) {
      outgoing.statusCode = status;
      leaveHead(outgoing, headOf(status, headers) + requestId + end());
    } else {
      outgoing.writeHead(status, {
        ...headers,
        'x-request-id': requestId,
        ...(!hasLength && body !== null && { 'content-length': Buffer.byteLength(body) }),
      });
    }
    outgoing.end(body);
  };
}

/** The connection stays open, and nothing but the answer's own headers is to be sent. */
function isPlain(outgoing: ServerResponse): boolean {
  return outgoing.shouldKeepAlive && outgoing.req.httpVersionMinor === 1 && !outgoing.hasHeader('connection');
}

/**
 * From the status line to where the request id goes.
 *
 * @throws TypeError, as writeHead() would, for what is no header
 */
function headText(status: number, headers: Answer['headers']): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    text += `${name}: ${value}\r\n`;
  }
  // In one piece, which is copied faster than the pieces it was joined from.
  return Buffer.from(`${text}x-request-id: `, 'latin1').toString('latin1');
}

/** Does this Node send the head that is left where it leaves its own? Found out by sending one. */
export function takesHeadText(): boolean {
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n';
  let sent = '';
  const socket = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, written) => {
      sent += bytes.toString('latin1');
      written();
    },
  }) as Socket;
  try {
    const outgoing = new ServerResponse(new IncomingMessage(socket));
    outgoing.assignSocket(socket);
    leaveHead(outgoing, head);
    const isTaken = outgoing.headersSent;
    outgoing.end(new TextEncoder().encode('{}'));
    return isTaken && sent === `${head}{}`;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
