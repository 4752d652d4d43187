/** `npm run size`: bundles the Worker and fails when it is over 100 KiB gzipped. Prints its largest parts. */
import { gzipSync } from 'node:zlib';
import { bundleWorker } from './bundle-worker.ts';

const MAX_GZIP_BYTES = 102_400;

const { script, parts } = await bundleWorker();
const gzipBytes = gzipSync(script, { level: 9 }).byteLength;
const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
process.stdout.write(`${kib(gzipBytes)} gzipped of ${kib(MAX_GZIP_BYTES)}, ${kib(script.length)} minified\n`);
for (const [part, bytes] of parts.slice(0, 8)) process.stdout.write(`  ${part.padEnd(16)}${kib(bytes)}\n`);
if (gzipBytes > MAX_GZIP_BYTES) {
  process.stderr.write('The Worker is too large.\n');
  process.exitCode = 1;
}
