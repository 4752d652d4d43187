import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Row, round, type Section } from './report.ts';
import { ROOT } from './servers.ts';

const run = promisify(execFile);

/** Memory held for each byte of bodies: not more than this is wanted. */
const TARGET_RATIO = 1.3;
const TIMEOUT_MS = 120_000;
/** Entries in each list, and so many lists that the process's own noise does not count. */
const CASES = [
  { entries: 1, lists: 10_000 },
  { entries: 50, lists: 1000 },
  { entries: 500, lists: 1000 },
] as const;
/** What the cache counts for each list besides its body: the limit CACHE_MAX_BYTES includes it. */
const COUNTED_BYTES = 2048;

/** As cache-memory.ts prints it. */
interface Held {
  readonly lists: number;
  readonly entries: number;
  readonly bytes: number;
  readonly bodyBytes: number;
  readonly held: number;
}

/** Memory that cached lists take, against the bytes of their bodies. */
export async function measureGrowthMemory(): Promise<Section> {
  const rows: Row[] = [];
  const over: string[] = [];
  for (const { entries, lists } of CASES) {
    const args = ['--expose-gc', 'test/bench/cache-memory.ts', String(entries), String(lists)];
    const held = JSON.parse(
      (await run(process.execPath, args, { cwd: ROOT, timeout: TIMEOUT_MS })).stdout,
    ) as Held;
    if (held.held !== lists) throw new Error(`${held.held} lists are held instead of ${lists}`);
    const ratio = held.bytes / (lists * held.bodyBytes);
    const besides = held.bytes / lists - held.bodyBytes;
    rows.push({
      'lists × entries': `${lists} × ${entries}`,
      'bytes a body': held.bodyBytes,
      'MiB of bodies': round((lists * held.bodyBytes) / 1_048_576, 1),
      'MiB held': round(held.bytes / 1_048_576, 1),
      'bytes besides the body': round(besides),
      ratio: round(ratio, 2),
      target: `${TARGET_RATIO} or less`,
    });
    if (ratio > TARGET_RATIO) over.push(`${entries} ${entries === 1 ? 'entry' : 'entries'}`);
  }
  return {
    title: 'Memory of cached lists',
    rows,
    notes: [
      'Heap and array buffers after garbage collection, without what the allocator adds.',
      ...(over.length === 0
        ? []
        : [
            `Over the target with ${over.join(' and ')}: a list takes as much besides its body whatever its size. By heap`,
            'snapshot that is the typed array with its buffer (200 bytes), two objects with what is known of the list (150) and',
            'its times, which are numbers of their own on the heap (110), entity tag and key as text (150), and the LRU.',
            `The cache counts ${COUNTED_BYTES} bytes for it, so CACHE_MAX_BYTES bounds small lists too.`,
          ]),
    ],
  };
}
