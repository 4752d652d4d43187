import { LIVE } from '../../support/http-service.ts';

/** Requests that never reach the app. Each is refused as a problem, which is counted and logged like other answers. */
export const REFUSALS: readonly (readonly [string, string, number, string, string])[] = [
  ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', 400, 'bad_request', 'GET'],
  ['a Host that is none', 'GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n', 400, 'bad_request', 'GET'],
  ['a target that is none', 'GET livez HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['a target of another form', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad_request', 'OPTIONS'],
  ['a path with a backslash', 'GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad_request', 'GET'],
  ['no request line', 'hello\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['another version', 'GET /livez HTTP/3.0\r\nHost: a\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['an unknown method', 'BREW /livez HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\r\n\r\n', 400, 'bad_request', 'OTHER'],
  ['a header without a colon', `${LIVE}bad\r\n\r\n`, 400, 'bad_request', 'OTHER'],
  ['a space before a colon', `${LIVE}A : b\r\n\r\n`, 400, 'bad_request', 'OTHER'],
  ['a folded header', `${LIVE}A: b\r\n c\r\n\r\n`, 400, 'bad_request', 'OTHER'],
  ['two lengths', `${LIVE}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400, 'bad_request', 'OTHER'],
  ['a length that is none', `${LIVE}Content-Length: x\r\n\r\n`, 400, 'bad_request', 'OTHER'],
  ['headers over 32 KiB', `${LIVE}A: ${'x'.repeat(33_000)}\r\n\r\n`, 431, 'headers_too_large', 'OTHER'],
  ['a target over 32 KiB', `GET /${'x'.repeat(33_000)} HTTP/1.1\r\n\r\n`, 431, 'headers_too_large', 'OTHER'],
  ['an expectation', `${LIVE}Expect: junk\r\n\r\n`, 417, 'expectation_failed', 'GET'],
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405, 'method_not_allowed', 'CONNECT'],
];
