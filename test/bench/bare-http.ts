/**
 * A baseline: node:http returning the same bytes, and nothing else. `/headers` does so under as many headers as this
 * service sends, which shows what those alone cost in Node. With CACHE_CONTROL set it is an origin for caches.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const body = readFileSync(process.argv[2] as string);
const { CACHE_CONTROL } = process.env;
const few = {
  'content-type': 'application/json',
  'content-length': body.byteLength,
  ...(CACHE_CONTROL && { 'cache-control': CACHE_CONTROL }),
};
const many = {
  etag: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"',
  age: '12',
  'cache-control': 'private, max-age=18',
  'cache-status': 'imagecaches; hit; ttl=18',
  vary: 'Authorization, Accept-Encoding',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  ...few,
  'x-request-id': '5c2f2f1e-0f2c-4d55-9b1c-3a5f0a6f0001',
};
process.on('SIGTERM', () => process.exit(0));
// As this service does: no events of a body that is not there.
createServer({ optimizeEmptyRequests: true }, (request, response) => {
  response.writeHead(200, request.url === '/headers' ? many : few);
  response.end(body);
}).listen(Number(process.env.PORT), '127.0.0.1');
