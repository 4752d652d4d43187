/**
 * `node test/bench/against.ts <folder> [--rounds 21]`: hits of this checkout against those of another one, such as a git
 * worktree of an older commit with its own node_modules.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CONNECTIONS, measurePairs, pairRows } from './cpu-pairs.ts';
import { SERVICE, withServers } from './hits.ts';
import { chooseLoadTool } from './load.ts';
import { renderSections } from './report.ts';
import { separateCpus } from './servers.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '21' } },
});
const [other] = positionals;
if (other === undefined) throw new Error('the folder of another checkout is missing');
await separateCpus();
const folder = await mkdtemp(join(tmpdir(), 'imagecaches-bench-'));
try {
  const measured = await withServers(folder, async (servers, start) => {
    const headers = { authorization: servers.authorization };
    const side = async (what: string, script: string, log: string, more: Record<string, string> = {}) => ({
      what,
      server: await start(log, script, [], { ...servers.environment, ...more }),
      path: '/imagecaches',
      headers,
    });
    const theirs = join(resolve(other), SERVICE);
    const quiet = { LOG_LEVEL: 'warn' };
    const rounds = Number(values.rounds);
    return measurePairs(
      [
        {
          ours: await side('a hit', SERVICE, 'ours'),
          baseline: await side('a hit there', theirs, 'theirs'),
          rounds,
        },
        {
          ours: await side('a hit, LOG_LEVEL=warn', SERVICE, 'ours-quiet', quiet),
          baseline: await side('the same there', theirs, 'theirs-quiet', quiet),
          rounds,
        },
      ],
      await chooseLoadTool(),
    );
  });
  const title = `hits against ${other}: ${CONNECTIONS} connections`;
  process.stdout.write(`${renderSections([{ title, rows: pairRows(measured) }])}\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
