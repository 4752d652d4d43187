import { beforeAll, describe, expect, it } from 'vitest';
import { NO_METRICS } from '../../../src/observability/metrics.ts';
import { answerHit } from '../../../src/runtime/worker/answer-hit.ts';
import { createConsoleLogger } from '../../../src/runtime/worker/logger.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../../support/test-service.ts';

const URL_OF_SERVICE = 'https://lists.example.test';
const REQUEST_ID = 'the-same-for-both';
const ORIGIN = 'https://app.example.com';

let service: TestService;
let authorization: string;
const counted: unknown[] = [];

beforeAll(async () => {
  const metrics = {
    ...NO_METRICS,
    requestAnswered: (...values: unknown[]) => counted.push(['request', ...values]),
    cacheAnswered: (...values: unknown[]) => counted.push(['cache', ...values]),
    forTarget: () => metrics,
  };
  service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0', CORS_ORIGINS: ORIGIN }, { metrics });
  service.upstream = ({ url }) =>
    url.searchParams.has('name')
      ? vendorList(vendorEntry('db'))
      : vendorList(vendorEntry('größe'), vendorEntry('db'));
  authorization = `Bearer ${await service.token({ exp: service.clock.now() / 1000 + 86_400 })}`;
  for (const path of ['/imagecaches', '/imagecaches?name=db'])
    await service.app.fetch(new Request(URL_OF_SERVICE + path, { headers: { authorization } }));
});

async function observed(answer: () => Response | Promise<Response> | undefined) {
  const logged = service.logger.lines.length;
  counted.length = 0;
  const response = await answer();
  return (
    response && {
      status: response.status,
      headers: [...response.headers],
      body: [...new Uint8Array(await response.arrayBuffer())],
      logged: service.logger.lines.slice(logged),
      counted: [...counted],
    }
  );
}

/** The same request both ways, which have to agree where it is a hit. */
async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; isHit: boolean }> {
  const headers = { authorization, 'x-request-id': REQUEST_ID, ...(init.headers as object) };
  const request = () =>
    new Request(path.startsWith('/') ? URL_OF_SERVICE + path : path, { ...init, headers });
  const hit = await observed(() => answerHit(service.app.hits, request()));
  const answer = await observed(() => service.app.fetch(request()));
  if (answer === undefined) throw new Error('no answer');
  if (hit !== undefined) expect(hit).toEqual(answer);
  return { status: answer.status, isHit: hit !== undefined };
}

describe('a hit is what the app would answer', () => {
  it.each<[name: string, path: string, init: RequestInit, status: number, isHit: boolean]>([
    ['the list', '/imagecaches', {}, 200, true],
    ['HEAD', '/imagecaches', { method: 'HEAD' }, 200, true],
    ['a name', '/imagecaches?name=db', {}, 200, true],
    ['what the caller holds', '/imagecaches', { headers: { 'if-none-match': '*' } }, 304, true],
    ['HEAD of it', '/imagecaches', { method: 'HEAD', headers: { 'if-none-match': '*' } }, 304, true],
    ['a coding', '/imagecaches', { headers: { 'accept-encoding': 'br, gzip' } }, 200, true],
    ['the vendor path', '/v5/imagecaches', {}, 200, true],
    ['an origin', '/imagecaches', { headers: { origin: ORIGIN } }, 200, true],
    ['another origin', '/imagecaches', { headers: { origin: 'https://b.test' } }, 200, true],
    [
      'a trace',
      '/imagecaches',
      { headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } },
      200,
      true,
    ],
    ['a fragment', '/imagecaches#x', {}, 400, false],
    ['another host and port', 'http://A.test:8080/imagecaches', {}, 200, true],
    ['a dot segment, which is gone when it comes', '/x/../imagecaches', {}, 200, true],
    ['two slashes', 'https://a.test//imagecaches', {}, 404, false],
    ['an escape in the query', '/imagecaches?name=%64b', {}, 200, false],
    ['an empty query', '/imagecaches?', {}, 200, false],
    ['a name that no list has', '/imagecaches?name=nothing', {}, 200, false],
    ['a bad query', '/imagecaches?name=A', {}, 400, false],
    ['no-cache', '/imagecaches', { headers: { 'cache-control': 'no-cache' } }, 200, false],
    ['a bad token', '/imagecaches', { headers: { authorization: 'Bearer x' } }, 401, false],
    ['another method', '/imagecaches', { method: 'POST' }, 405, false],
    ['a preflight', '/imagecaches', { method: 'OPTIONS', headers: { origin: ORIGIN } }, 204, false],
    ['another path', '/imagecaches/', {}, 404, false],
    ['the probe', '/livez', {}, 200, false],
    ['the root', '', {}, 404, false],
  ])('for %s', async (_what, path, init, status, isHit) => {
    expect(await ask(path === '' ? URL_OF_SERVICE : path, init)).toEqual({ status, isHit });
  });

  it('with an id of its own each, and headers that the next one does not change', async () => {
    const hits = ['first', undefined, 'third'].map((id) =>
      answerHit(
        service.app.hits,
        new Request(`${URL_OF_SERVICE}/imagecaches`, {
          headers: { authorization, ...(id !== undefined && { 'x-request-id': id }) },
        }),
      ),
    );
    const ids = hits.map((hit) => hit?.headers.get('x-request-id'));
    expect(ids).toEqual(['first', expect.stringMatching(/^[0-9a-f-]{36}$/), 'third']);
  });
});

describe('the line of a request', () => {
  it('is the same by the quicker way', () => {
    const lines: string[] = [];
    const logger = createConsoleLogger(
      'info',
      () => 1_767_323_045_678,
      (_rank: unknown, line: string) => void lines.push(line),
    );
    const fields = {
      requestId: 'a',
      trace_id: undefined,
      method: 'GET',
      route: '/imagecaches',
      status: 200,
      ms: 3,
      access: 'granted',
      name: undefined,
      cache: 'hit',
      subject: 'größe "x"',
      issuer: 'https://login.example.com',
      code: undefined,
      reason: undefined,
    };
    logger.request?.('info', fields);
    logger.request?.('debug', fields);
    logger.info(fields, 'request');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toBe(lines[1]);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 'info', subject: 'größe "x"' });
  });
});
