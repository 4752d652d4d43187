import { type Json, ref } from './json.ts';

/** The request id of every example. */
export const REQUEST_ID = '5e1c3b0a-7d2f-4c6e-9a18-2b3c4d5e6f70-00002a';

const HEADERS = {
  ETag: {
    description: 'Strong. Send it as If-None-Match to be answered 304 while nothing has changed.',
    schema: { type: 'string', pattern: '^"[0-9a-f]{32}(-br|-gzip)?"$' },
    example: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"',
  },
  Age: {
    description: 'Seconds since the list was loaded from the cloud.',
    schema: { type: 'string', pattern: '^\\d+$' },
    example: '12',
  },
  'Cache-Control': {
    description: 'private, with the seconds that the list stays fresh.',
    schema: { type: 'string' },
    example: 'private, max-age=18',
  },
  'Cache-Status': {
    description: 'How the list came about (RFC 9211).',
    schema: { type: 'string', pattern: '^imagecaches; ' },
    example: 'imagecaches; hit; ttl=18',
  },
  'X-Request-Id': {
    description: 'The id of the request: yours, if you sent a sane one.',
    schema: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,128}$' },
    example: REQUEST_ID,
  },
  'Retry-After': {
    description: 'Seconds after which it is worth while to try again.',
    schema: { type: 'string', pattern: '^[1-9]\\d*$' },
    example: '5',
  },
  'WWW-Authenticate': {
    description:
      'What is missing (RFC 6750), and with PUBLIC_URL where the issuers are listed (RFC 9728); the name of the algorithm, for a caller that signed.',
    schema: { type: 'string', pattern: '^(Bearer realm|SDK-HMAC-SHA256)' },
    example: 'Bearer realm="imagecaches", error="invalid_token", error_description="the token is expired"',
  },
  RateLimit: {
    description: 'What is left of the limit, and when more is.',
    schema: { type: 'string' },
    example: '"principal";r=0;t=5',
  },
  'RateLimit-Policy': {
    description: 'The limit: so many in a window of seconds.',
    schema: { type: 'string' },
    example: '"principal";q=600;w=60',
  },
} satisfies Readonly<Record<string, Json>>;

export type HeaderName = keyof typeof HEADERS;

/** Components have no hyphen in their names. */
const componentName = (name: string) => name.replaceAll('-', '');

export const HEADER_COMPONENTS: Json = Object.fromEntries(
  Object.entries(HEADERS).map(([name, header]) => [componentName(name), header]),
);

/** The headers of a response, as references. */
export function headers(...names: readonly HeaderName[]): Json {
  return Object.fromEntries(names.map((name) => [name, ref('headers', componentName(name))]));
}
