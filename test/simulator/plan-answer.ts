import { Readable } from 'node:stream';
import { brotliCompressSync, createGzip, deflateSync, gzipSync } from 'node:zlib';
import { type Answer, textAnswer } from './answers.ts';
import type { AnswerBehaviour } from './behaviours.ts';
import { refusalAnswer } from './refusals.ts';
import type { HeaderPair } from './verify-signature.ts';

/** What is to go over the wire. */
export type WirePlan =
  | { kind: 'hang' }
  | { kind: 'reset' }
  | { kind: 'close' }
  | { kind: 'raw'; bytes: Buffer; keepOpen: boolean }
  | {
      kind: 'message';
      status: number;
      headers: HeaderPair[];
      body: Buffer | AsyncIterable<Buffer>;
      /** The Content-Length sent; null for chunked. */
      declaredBytes: number | null;
      /** After the body: keep the connection as HTTP says, leave the message unfinished, close, or reset. */
      ending: 'complete' | 'unfinished' | 'close' | 'reset';
    };

export interface PlannedRequest {
  method: string;
  path: string;
  url: string;
  headers: readonly HeaderPair[];
  requestId: string;
  nowMs: number;
}

const FILLER_BYTES = 64 * 1024;
const JSON_TYPE: HeaderPair = ['Content-Type', 'application/json;charset=UTF-8'];
const UNEXPECTED_JSON = {
  'empty-object': '{}',
  null: 'null',
  array: '[]',
  string: '"image_caches"',
  'null-list': '{"image_caches":null}',
  'object-list': '{"image_caches":{"0":{"name":"a"}}}',
} as const;

/** Turns a scripted answer into bytes and framing. `normal` is what the endpoint would have said. */
export function planAnswer(behaviour: AnswerBehaviour, normal: Answer, request: PlannedRequest): WirePlan {
  switch (behaviour.kind) {
    case 'normal':
      return message(normal);
    case 'respond': {
      const { status, headers } = behaviour;
      const hasType = headers.some(([name]) => name.toLowerCase() === 'content-type');
      const isJson = Object.hasOwn(behaviour, 'json');
      const body = isJson
        ? Buffer.from(JSON.stringify(behaviour.json))
        : Buffer.from(
            behaviour.base64 ?? behaviour.text ?? '',
            behaviour.base64 === undefined ? 'utf8' : 'base64',
          );
      return message({
        status,
        headers: hasType || body.length === 0 ? headers : [JSON_TYPE, ...headers],
        body,
      });
    }
    case 'refuse':
      return message(refusalAnswer(behaviour, request));
    case 'reset': {
      if (behaviour.when === 'before-headers') return { kind: 'reset' };
      const body = behaviour.when === 'mid-body' ? firstHalf(normal.body) : Buffer.alloc(0);
      return message({ ...normal, body }, { declaredBytes: normal.body.length, ending: 'reset' });
    }
    case 'close':
      return { kind: 'close' };
    case 'truncate': {
      const kept =
        behaviour.keepBytes === undefined
          ? firstHalf(normal.body)
          : normal.body.subarray(0, behaviour.keepBytes);
      const declaredBytes = behaviour.framing === 'chunked' ? null : normal.body.length;
      return message({ ...normal, body: kept }, { declaredBytes, ending: 'close' });
    }
    case 'corrupt':
      return message({ ...normal, body: damage(normal.body, behaviour.damage) });
    case 'wrong-content-length': {
      const declaredBytes = Math.max(0, normal.body.length + behaviour.differenceBytes);
      const ending = declaredBytes > normal.body.length ? 'unfinished' : 'complete';
      return message(normal, { declaredBytes, ending });
    }
    case 'encode': {
      const encoded = encode(normal.body, behaviour.encoding);
      const label = behaviour.label === undefined ? behaviour.encoding : behaviour.label;
      const headers: HeaderPair[] =
        label === null ? normal.headers : [...normal.headers, ['Content-Encoding', label]];
      return message({ ...normal, headers, body: behaviour.cut ? firstHalf(encoded) : encoded });
    }
    case 'unexpected-body': {
      if (behaviour.body === 'html') {
        return message(textAnswer(200, 'text/html', '<html><body>Welcome to elb-7</body></html>'));
      }
      const text = behaviour.body === 'empty' ? '' : UNEXPECTED_JSON[behaviour.body];
      return message({ status: 200, headers: [JSON_TYPE], body: Buffer.from(text) });
    }
    case 'deep': {
      const body = `{"image_caches":${'['.repeat(behaviour.levels)}${']'.repeat(behaviour.levels)}}`;
      return message({ status: 200, headers: [JSON_TYPE], body: Buffer.from(body) });
    }
    case 'huge': {
      const declaredBytes = behaviour.framing === 'chunked' ? null : behaviour.bodyBytes;
      return stream([JSON_TYPE], Readable.from(spaciousJson(behaviour.bodyBytes)), declaredBytes);
    }
    case 'gzip-bomb': {
      const packed = Readable.from(spaciousJson(behaviour.unpackedBytes)).pipe(createGzip());
      return stream([JSON_TYPE, ['Content-Encoding', 'gzip']], packed, null);
    }
    case 'redirect': {
      const host = request.headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '';
      const location = behaviour.location ?? `http://${host}${request.url}`;
      return message({ status: behaviour.status, headers: [['Location', location]], body: Buffer.alloc(0) });
    }
    case 'hang':
      return { kind: 'hang' };
    case 'raw':
      return { kind: 'raw', bytes: Buffer.from(behaviour.text, 'latin1'), keepOpen: behaviour.keepOpen };
  }
}

/** The plan that sends an answer as it is. */
export function planNormal(answer: Answer): WirePlan {
  return message(answer);
}

type MessagePlan = Extract<WirePlan, { kind: 'message' }>;

function message(
  answer: Answer,
  bent: Partial<Pick<MessagePlan, 'declaredBytes' | 'ending'>> = {},
): MessagePlan {
  return { kind: 'message', ...answer, declaredBytes: answer.body.length, ending: 'complete', ...bent };
}

function stream(
  headers: HeaderPair[],
  body: AsyncIterable<Buffer>,
  declaredBytes: number | null,
): MessagePlan {
  return { kind: 'message', status: 200, headers, body, declaredBytes, ending: 'complete' };
}

function firstHalf(body: Buffer): Buffer {
  return body.subarray(0, Math.floor(body.length / 2));
}

function damage(body: Buffer, kind: 'invalid-json' | 'invalid-utf8'): Buffer {
  if (kind === 'invalid-json') return Buffer.concat([body.subarray(0, -1), Buffer.from(',,]')]);
  // 0xff is never part of UTF-8; here it stands inside a string, so that only decoding can notice.
  const damaged = Buffer.from(body);
  const inString = damaged.indexOf('"name":"') + '"name":"'.length;
  damaged[inString] = 0xff;
  return damaged;
}

function encode(body: Buffer, encoding: 'gzip' | 'br' | 'deflate' | 'identity'): Buffer {
  switch (encoding) {
    case 'gzip':
      return gzipSync(body);
    case 'br':
      return brotliCompressSync(body);
    case 'deflate':
      return deflateSync(body);
    case 'identity':
      return body;
  }
}

/** An empty list in exactly so many bytes (at least 19): white space does the rest. One filler is reused. */
function* spaciousJson(totalBytes: number): Generator<Buffer> {
  const head = Buffer.from('{"image_caches":[');
  const tail = Buffer.from(']}');
  const filler = Buffer.alloc(FILLER_BYTES, ' ');
  yield head;
  let left = totalBytes - head.length - tail.length;
  for (; left > 0; left -= FILLER_BYTES) yield left >= FILLER_BYTES ? filler : filler.subarray(0, left);
  yield tail;
}
