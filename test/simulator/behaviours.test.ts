import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { brotliDecompressSync, createGunzip, gunzipSync, inflateSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseRule, REFUSALS, type RuleInput } from './behaviours.ts';
import { planAnswer } from './plan-answer.ts';
import { type Simulator, startSimulator } from './simulator.ts';
import { RawConnection, sendSigned, signedRequestText, signHeaders } from './wire-client.ts';

let simulator: Simulator;
/** What the endpoint says when nothing bends it. */
let normal: Buffer;
const connections: RawConnection[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  normal = (await sendSigned(simulator)).body;
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.close();
  simulator.reset();
});
afterAll(() => simulator.stop());

/** One signed request over a connection of its own, answered under this rule. */
function raw(rule: RuleInput): RawConnection {
  simulator.script(rule);
  const connection = new RawConnection(simulator).send(signedRequestText(simulator));
  connections.push(connection);
  return connection;
}

function scripted(rule: RuleInput) {
  simulator.script(rule);
  return sendSigned(simulator);
}

/** A signed request whose body is read as it comes, nothing kept. */
function streamed(rule: RuleInput): Promise<IncomingMessage> {
  simulator.script(rule);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${simulator.url}/v5/imagecaches`,
      { headers: signHeaders(simulator) },
      resolve,
    );
    request.on('error', reject);
    request.end();
  });
}

describe('the queue', () => {
  test('rules are used in order, as often as they say, then all is normal', async () => {
    simulator.script(
      { times: 2, answer: { kind: 'respond', status: 503 } },
      { answer: { kind: 'respond', status: 418 } },
    );
    const statuses = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await sendSigned(simulator)).status);
    expect(statuses).toEqual([503, 503, 418, 200]);
    expect(simulator.pendingRules).toEqual([]);
  });

  test('a rule for always stays until it is cleared', async () => {
    simulator.script({ times: 'always', answer: { kind: 'respond', status: 503 } });
    for (let n = 0; n < 3; n += 1) expect((await sendSigned(simulator)).status).toBe(503);
    expect(simulator.pendingRules).toMatchObject([{ left: null }]);
    simulator.clearScript();
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('a rule waits for the request that it matches', async () => {
    simulator.script(
      { match: { path: '/v3/projects' }, answer: { kind: 'respond', status: 503 } },
      { match: { name: 'a' }, answer: { kind: 'respond', status: 418 } },
      { match: { method: 'GET', name: null }, answer: { kind: 'respond', status: 599 } },
    );
    expect((await sendSigned(simulator, { query: { name: 'b' } })).status).toBe(200);
    expect((await sendSigned(simulator)).status).toBe(599);
    expect((await sendSigned(simulator, { query: { name: 'a' } })).status).toBe(418);
    expect((await sendSigned(simulator, { path: '/v3/projects' })).status).toBe(503);
  });

  test('a request with a bad signature is refused and does not use the rule up', async () => {
    simulator.script({ answer: { kind: 'respond', status: 418 } });
    const accessKey = { accessKeyId: 'NOSUCHKEY', secretAccessKey: 'x' };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(401);
    expect((await sendSigned(simulator)).status).toBe(418);
  });

  test('a rule can turn the check off', async () => {
    simulator.script({ verify: false });
    const accessKey = { accessKeyId: 'NOSUCHKEY', secretAccessKey: 'x' };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
    expect(simulator.requests[0]?.authentication).toBe('none');
  });

  test.each([
    [{ answer: { kind: 'no-such-kind' } }],
    [{ answr: { kind: 'hang' } }],
    [{ times: 0 }],
    [{ answer: { kind: 'refuse', error: 'unheard-of' } }],
    [{ answer: { kind: 'respond', text: 'a', json: 1 } }],
    [{ delayBeforeHeadersMs: -1 }],
    [{ match: { path: 'v5' } }],
    ['hang'],
    [null],
  ])('a bad rule is refused at once: %j', (rule) => {
    expect(() => simulator.script({}, rule as RuleInput)).toThrow(/bad rule/);
    expect(simulator.pendingRules).toEqual([]);
  });
});

describe('waits', () => {
  test('before the headers', async () => {
    const startedMs = performance.now();
    await scripted({ delayBeforeHeadersMs: 60 });
    expect(performance.now() - startedMs).toBeGreaterThan(55);
  });

  test('between the headers and the body', async () => {
    const held = raw({ delayBeforeBodyMs: 3_600_000 });
    await held.until(() => held.head.includes('Content-Length'));
    // Another request is answered meanwhile, and shows that the body had its time.
    expect((await sendSigned(simulator)).status).toBe(200);
    expect(held.body).toHaveLength(0);
    const startedMs = performance.now();
    expect((await scripted({ delayBeforeBodyMs: 60 })).body.equals(normal)).toBe(true);
    expect(performance.now() - startedMs).toBeGreaterThan(55);
  });

  test('between the bytes of the head', async () => {
    const connection = raw({ slowHeaders: { intervalMs: 1 } });
    expect(await connection.ended()).toBe('fin');
    expect(connection.arrivals).toBeGreaterThan(50);
    expect(connection.head).toContain('HTTP/1.1 200 OK\r\n');
    expect(connection.body.equals(normal)).toBe(true);
    await simulator.idle();
    expect(simulator.requests[0]?.outcome).toBe('answered');
  });

  test('between the pieces of the body', async () => {
    simulator.setImageCaches([{ name: 'a' }]);
    const response = await streamed({ slowBody: { intervalMs: 1, pieceBytes: 1 } });
    const pieces = (await response.toArray()) as Buffer[];
    expect(Buffer.concat(pieces).toString()).toBe('{"image_caches":[{"name":"a"}]}');
    expect(pieces.length).toBeGreaterThan(10);
  });

  test('for ever', async () => {
    const connection = raw({ answer: { kind: 'hang' } });
    await simulator.received(1);
    // Another request is answered meanwhile, and shows that the first had its time.
    expect((await sendSigned(simulator)).status).toBe(200);
    expect(connection.received).toHaveLength(0);
    connection.close();
    await simulator.idle();
    expect(simulator.requests[0]?.outcome).toBe('aborted');
  });
});

describe('any answer', () => {
  test('with status, repeated headers and text', async () => {
    const headers: [string, string][] = [
      ['Content-Type', 'text/plain'],
      ['X-Twice', '1'],
      ['X-Twice', '2'],
    ];
    const answer = await scripted({ answer: { kind: 'respond', status: 201, headers, text: 'hällo' } });
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([
      201,
      'hällo',
      'text/plain',
    ]);
    expect(answer.headers['x-twice']).toBe('1, 2');
  });

  test('with JSON, with bytes, with nothing', async () => {
    const json = await scripted({ answer: { kind: 'respond', json: { image_caches: null } } });
    expect(json.text).toBe('{"image_caches":null}');
    expect(json.headers['content-type']).toBe('application/json;charset=UTF-8');
    const bytes = await scripted({
      answer: { kind: 'respond', base64: Buffer.of(0, 255).toString('base64') },
    });
    expect([...bytes.body]).toEqual([0, 255]);
    const nothing = await scripted({ answer: { kind: 'respond', status: 204 } });
    expect([nothing.status, nothing.text]).toEqual([204, '']);
  });
});

describe('refusals', () => {
  test.each([
    ['missing-authorization', 401, { error_code: 'APIGW.0301' }],
    ['unknown-key', 401, { error_msg: expect.stringContaining('ak SIMULATORACCESSKEY01 not exist') }],
    [
      'bad-signature',
      401,
      { error_msg: expect.stringContaining('canonicalRequest:GET|/v5/imagecaches/||host:') },
    ],
    [
      'clock',
      401,
      { error_msg: expect.stringMatching(/signature time:\d{8}T\d{6}Z,server time:\d{8}T\d{6}Z$/) },
    ],
    ['locked', 401, { error_msg: expect.stringContaining('reach the limit') }],
    ['forbidden', 403, { error_code: 'APIGW.0302' }],
    ['cce-forbidden', 403, { errorCode: 'CCE.01403001', encoded_authorization_message: expect.any(String) }],
    ['iam-unauthorized', 401, { error: { code: 401 } }],
    ['not-found', 404, { error_code: 'APIGW.0101' }],
    ['throttled', 429, { error_code: 'APIGW.0308' }],
    ['internal', 500, { errorCode: 'CCE.01500001' }],
    ['bad-gateway-html', 502, undefined],
    ['unavailable', 503, { error_code: 'APIGW.0106' }],
    ['gateway-timeout', 504, { error_code: 'APIGW.0201' }],
    ['kubernetes', 500, { kind: 'Status', errorCode: 500 }],
    ['nested-details', 400, { details: [{ error: { details: [{ code: 'CCE.1' }] } }] }],
    ['message-only', 500, { message: expect.any(String) }],
    ['empty', 503, undefined],
  ] as const)('%s is %i', async (error, status, body) => {
    const answer = await scripted({ answer: { kind: 'refuse', error } });
    expect(answer.status).toBe(status);
    if (body !== undefined) expect(answer.json()).toMatchObject(body);
  });

  test('the table above names each', () => expect(REFUSALS).toHaveLength(18));

  test('HTML and nothing at all', async () => {
    const html = await scripted({ answer: { kind: 'refuse', error: 'bad-gateway-html' } });
    expect(html.headers['content-type']).toBe('text/html');
    expect(html.text).toContain('<html>');
    const empty = await scripted({ answer: { kind: 'refuse', error: 'empty', status: 502 } });
    expect([empty.status, empty.text, empty.headers['content-type']]).toEqual([502, '', undefined]);
  });

  test('Retry-After in seconds, as a date, or not at all', async () => {
    const throttled = (more: object) => scripted({ answer: { kind: 'refuse', error: 'throttled', ...more } });
    expect((await throttled({ retryAfterSeconds: 7 })).headers['retry-after']).toBe('7');
    const { headers } = await throttled({ retryAfterSeconds: 7, retryAfterForm: 'date' });
    expect(Date.parse(headers['retry-after'] ?? '') - Date.parse(headers.date ?? '')).toBe(7000);
    expect((await throttled({})).headers['retry-after']).toBeUndefined();
  });
});

describe('broken connections', () => {
  test('reset before the headers', async () => {
    const connection = raw({ answer: { kind: 'reset' } });
    expect(await connection.ended()).toBe('reset');
    expect(connection.received).toHaveLength(0);
  });

  test('reset after the headers', async () => {
    const connection = raw({ answer: { kind: 'reset', when: 'after-headers' } });
    expect(await connection.ended()).toBe('reset');
    expect(connection.head).toContain(`Content-Length: ${normal.length}`);
    expect(connection.body).toHaveLength(0);
  });

  test('reset in the middle of the body', async () => {
    const connection = raw({ answer: { kind: 'reset', when: 'mid-body' } });
    expect(await connection.ended()).toBe('reset');
    expect(connection.body).toHaveLength(Math.floor(normal.length / 2));
  });

  test('closed without an answer', async () => {
    const connection = raw({ answer: { kind: 'close' } });
    expect(await connection.ended()).toBe('fin');
    expect(connection.received).toHaveLength(0);
  });

  test('only a reused connection is reset', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    simulator.script({ match: { reusedSocket: true }, answer: { kind: 'reset' } });
    expect((await sendSigned(simulator, {}, agent)).status).toBe(200);
    await expect(sendSigned(simulator, {}, agent)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await sendSigned(simulator, {}, agent)).status).toBe(200);
    expect(simulator.requests.map(({ reusedSocket }) => reusedSocket)).toEqual([false, true, false]);
    expect(simulator.connectionCount).toBe(2);
    agent.destroy();
  });

  test('the body cut, with a Content-Length that promises more', async () => {
    const connection = raw({ answer: { kind: 'truncate' } });
    expect(await connection.ended()).toBe('fin');
    expect(connection.head).toContain(`Content-Length: ${normal.length}`);
    expect(connection.body.equals(normal.subarray(0, Math.floor(normal.length / 2)))).toBe(true);
  });

  test('the body cut, without the last chunk', async () => {
    const connection = raw({ answer: { kind: 'truncate', framing: 'chunked', keepBytes: 100 } });
    expect(await connection.ended()).toBe('fin');
    expect(connection.head).toMatch(/transfer-encoding: chunked/i);
    expect(connection.head).not.toMatch(/content-length/i);
    expect(connection.body.toString('latin1')).toBe(
      `64\r\n${normal.subarray(0, 100).toString('latin1')}\r\n`,
    );
  });

  test('a Content-Length too long leaves the client waiting', async () => {
    const connection = raw({ answer: { kind: 'wrong-content-length', differenceBytes: 5 } });
    await connection.until(() => connection.body.length >= normal.length);
    expect(connection.head).toContain(`Content-Length: ${normal.length + 5}`);
    expect((await sendSigned(simulator)).status).toBe(200);
    expect([connection.ending, connection.body.length]).toEqual(['open', normal.length]);
  });

  test('a Content-Length too short leaves bytes over', async () => {
    const connection = raw({ answer: { kind: 'wrong-content-length', differenceBytes: -5 } });
    await connection.until(() => connection.body.length >= normal.length);
    expect(connection.head).toContain(`Content-Length: ${normal.length - 5}`);
    expect(connection.ending).toBe('open');
  });

  test('any bytes at all', async () => {
    const connection = raw({ answer: { kind: 'raw', text: 'SSH-2.0-OpenSSH\r\n\xff' } });
    expect(await connection.ended()).toBe('fin');
    expect(connection.received.toString('latin1')).toBe('SSH-2.0-OpenSSH\r\n\xff');
    const open = raw({ answer: { kind: 'raw', text: 'HTTP/1.1 200 OK\r\nContent-Le', keepOpen: true } });
    await open.until(() => open.received.length >= 27);
    expect((await sendSigned(simulator)).status).toBe(200);
    expect(open.ending).toBe('open');
  });
});

describe('broken bodies', () => {
  test('JSON that does not parse', async () => {
    const answer = await scripted({ answer: { kind: 'corrupt', damage: 'invalid-json' } });
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(() => answer.json()).toThrow(SyntaxError);
  });

  test('JSON that parses, in bytes that are no UTF-8', async () => {
    const answer = await scripted({ answer: { kind: 'corrupt', damage: 'invalid-utf8' } });
    expect(answer.body).toHaveLength(normal.length);
    expect(() => answer.json()).not.toThrow();
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(answer.body)).toThrow(TypeError);
  });

  test.each([
    ['gzip', gunzipSync],
    ['br', brotliDecompressSync],
    ['deflate', inflateSync],
  ] as const)('encoded as %s', async (encoding, decode) => {
    const answer = await scripted({ answer: { kind: 'encode', encoding } });
    expect(answer.headers['content-encoding']).toBe(encoding);
    expect(decode(answer.body).equals(normal)).toBe(true);
  });

  test('gzip cut in the middle', async () => {
    const answer = await scripted({ answer: { kind: 'encode', encoding: 'gzip', cut: true } });
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(() => gunzipSync(answer.body)).toThrow(/unexpected end/);
  });

  test('gzip without a label, or labelled identity; plain bytes labelled gzip', async () => {
    const unlabelled = await scripted({ answer: { kind: 'encode', encoding: 'gzip', label: null } });
    expect(unlabelled.headers['content-encoding']).toBeUndefined();
    expect(gunzipSync(unlabelled.body).equals(normal)).toBe(true);
    const identity = await scripted({ answer: { kind: 'encode', encoding: 'gzip', label: 'identity' } });
    expect(identity.headers['content-encoding']).toBe('identity');
    expect(gunzipSync(identity.body).equals(normal)).toBe(true);
    const plain = await scripted({ answer: { kind: 'encode', encoding: 'identity', label: 'gzip' } });
    expect(plain.headers['content-encoding']).toBe('gzip');
    expect(plain.body.equals(normal)).toBe(true);
  });

  test.each([
    ['html', '<html><body>Welcome to elb-7</body></html>'],
    ['empty', ''],
    ['empty-object', '{}'],
    ['null', 'null'],
    ['array', '[]'],
    ['string', '"image_caches"'],
    ['null-list', '{"image_caches":null}'],
    ['object-list', '{"image_caches":{"0":{"name":"a"}}}'],
  ] as const)('200 with %s', async (body, text) => {
    const answer = await scripted({ answer: { kind: 'unexpected-body', body } });
    expect([answer.status, answer.text]).toEqual([200, text]);
  });

  test('nested 100,000 levels', async () => {
    const answer = await scripted({ answer: { kind: 'deep' } });
    expect(answer.text).toBe(`{"image_caches":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
  });

  test.each(['chunked', 'content-length'] as const)('100 MB, streamed, %s', async (framing) => {
    const bodyBytes = 100_000_000;
    const response = await streamed({ answer: { kind: 'huge', bodyBytes, framing } });
    expect(response.headers['content-length']).toBe(framing === 'chunked' ? undefined : String(bodyBytes));
    let bytes = 0;
    for await (const chunk of response) bytes += chunk.length;
    expect(bytes).toBe(bodyBytes);
  });

  test('a huge body is one small buffer sent many times', async () => {
    const { answer } = parseRule({ answer: { kind: 'huge', bodyBytes: 10_000_000 } });
    const request = { method: 'GET', path: '/', url: '/', headers: [], requestId: '', nowMs: 0 };
    const plan = planAnswer(answer, { status: 200, headers: [], body: Buffer.alloc(0) }, request);
    if (plan.kind !== 'message' || Buffer.isBuffer(plan.body)) throw new Error('expected a stream');
    const memory = new Set<ArrayBufferLike>();
    let text = '';
    for await (const chunk of plan.body) {
      if (chunk.length > 100) memory.add(chunk.buffer);
      else text += chunk.toString();
    }
    expect(memory.size).toBe(1);
    expect(text).toBe('{"image_caches":[]}');
  });

  test('a small body of a size is still JSON', async () => {
    const answer = await scripted({ answer: { kind: 'huge', bodyBytes: 100_000 } });
    expect(answer.body).toHaveLength(100_000);
    expect(answer.json()).toEqual({ image_caches: [] });
  });

  test('a client that leaves a huge body ends the stream', async () => {
    const response = await streamed({ answer: { kind: 'huge', bodyBytes: 2_000_000_000 } });
    response.destroy();
    await simulator.idle();
    expect(simulator.requests[0]?.outcome).toBe('aborted');
  });

  test('few bytes of gzip that become 100 MB', async () => {
    const response = await streamed({ answer: { kind: 'gzip-bomb', unpackedBytes: 100_000_000 } });
    expect(response.headers['content-encoding']).toBe('gzip');
    let packedBytes = 0;
    response.on('data', (chunk: Buffer) => {
      packedBytes += chunk.length;
    });
    let unpackedBytes = 0;
    for await (const chunk of response.pipe(createGunzip())) unpackedBytes += chunk.length;
    expect(unpackedBytes).toBe(100_000_000);
    expect(packedBytes).toBeLessThan(200_000);
  });
});

describe('bent heads', () => {
  test('a redirect to the same URL, or to another host', async () => {
    const same = await scripted({ answer: { kind: 'redirect' } });
    expect([same.status, same.headers.location]).toEqual([302, `${simulator.url}/v5/imagecaches`]);
    const location = 'http://elsewhere.example.com/';
    const other = await scripted({ answer: { kind: 'redirect', status: 308, location } });
    expect([other.status, other.headers.location]).toEqual([308, location]);
  });

  test('header lines twice', async () => {
    const connection = raw({
      extraHeaders: [
        ['Content-Type', 'text/html'],
        ['Content-Length', '3'],
        ['X-Request-Id', 'another'],
      ],
    });
    await connection.until(() => connection.body.length >= normal.length);
    expect(connection.head.match(/^content-type:/gim)).toHaveLength(2);
    expect(connection.head.match(/^content-length:/gim)).toHaveLength(2);
    expect(connection.head.match(/^x-request-id:/gim)).toHaveLength(2);
  });

  test('header lines left out', async () => {
    const { headers } = await scripted({ omitHeaders: ['x-request-id', 'Server'] });
    expect([headers['x-request-id'], headers.server]).toEqual([undefined, undefined]);
    expect(headers['x-internal-cluster']).toBeDefined();
  });

  test.each(['garbage', 'Fri, 31 Dec 9999 23:59:59 GMT', 'Sat, 13 Sep 275760 00:00:00 GMT', ''])(
    'Date: %s',
    async (dateHeader) => {
      const { rawHeaders } = await scripted({ dateHeader });
      const dates = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'date');
      expect(dates).toEqual([dateHeader]);
    },
  );

  test('no Date', async () => {
    expect((await scripted({ dateHeader: null })).headers.date).toBeUndefined();
  });

  test('103 Early Hints first', async () => {
    simulator.script({ earlyHints: true });
    const hints: number[] = [];
    const status = await new Promise((resolve, reject) => {
      const request = httpRequest(`${simulator.url}/v5/imagecaches`, { headers: signHeaders(simulator) });
      request.on('information', ({ statusCode }) => hints.push(statusCode));
      request.on('response', (response) => resolve(response.resume().statusCode));
      request.on('error', reject);
      request.end();
    });
    expect([hints, status]).toEqual([[103], 200]);
  });
});
