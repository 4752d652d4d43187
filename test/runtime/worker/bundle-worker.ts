import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >;
}

export interface WorkerBundle {
  readonly script: string;
  /** As wrangler.toml says. */
  readonly compatibilityDate: string;
  /** Bytes in the bundle by the package or folder they come from, largest first. */
  readonly parts: readonly (readonly [part: string, bytes: number])[];
}

/** Bundles the Worker as a deployment would, without one. */
export async function bundleWorker(): Promise<WorkerBundle> {
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-worker-'));
  try {
    const args = ['deploy', '--dry-run', '--env', 'production', '--outdir', folder, '--metafile'];
    await promisify(execFile)(join(ROOT, 'node_modules/.bin/wrangler'), args, {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    });
    const metafile = JSON.parse(await readFile(join(folder, 'bundle-meta.json'), 'utf8')) as Metafile;
    const [script, settings] = await Promise.all([
      readFile(join(folder, 'worker.js'), 'utf8'),
      readFile(join(ROOT, 'wrangler.toml'), 'utf8'),
    ]);
    const compatibilityDate = /^compatibility_date = "([\d-]+)"$/m.exec(settings)?.[1] ?? '';
    return { script, compatibilityDate, parts: partsOf(metafile) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function partsOf({ outputs }: Metafile): [string, number][] {
  const sums = new Map<string, number>();
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const part = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? 'src';
      sums.set(part, (sums.get(part) ?? 0) + bytesInOutput);
    }
  }
  return [...sums].sort((a, b) => b[1] - a[1]);
}
