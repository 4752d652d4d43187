/** A baseline: node:http returning the same bytes, and nothing else. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const body = readFileSync(process.argv[2] as string);
const headers = { 'content-type': 'application/json', 'content-length': body.byteLength };
process.on('SIGINT', () => process.exit(0));
createServer((_request, response) => {
  response.writeHead(200, headers);
  response.end(body);
}).listen(Number(process.env.PORT), '127.0.0.1');
