import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SOURCE = new URL('../../src/', import.meta.url);
/** Static imports, re-exports and dynamic imports of files of ours; those of types alone are erased. */
const IMPORT =
  /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'|^import '(\.[^']+)'|import\('(\.[^']+)'\)/gm;

/** Paths below src of all files that running this one loads, or may load later. */
async function filesLoadedBy(entry: string): Promise<Set<string>> {
  const loaded = new Set<string>();
  const load = async (url: URL): Promise<void> => {
    if (loaded.has(url.href)) return;
    loaded.add(url.href);
    if (!url.pathname.endsWith('.ts')) return;
    const text = await readFile(fileURLToPath(url), 'utf8');
    const targets = Array.from(text.matchAll(IMPORT), ([, ...paths]) => paths.find(Boolean) as string);
    await Promise.all(targets.map((target) => load(new URL(target, url))));
  };
  await load(new URL(entry, SOURCE));
  return new Set(Array.from(loaded, (href) => href.slice(SOURCE.href.length)));
}

const isMadeApart = (path: string) =>
  /^pages\/api\/(?:build-document\.ts|document\/)|^imagecaches\/schema\.ts/.test(path);

it.each(['app.ts', 'runtime/node.ts', 'runtime/worker.ts'])(
  '%s loads nothing of what makes the API document',
  async (entry) => {
    const loaded = await filesLoadedBy(entry);
    expect(loaded).toContain('imagecaches/model.ts');
    expect(loaded).toContain('pages/api/openapi.json');
    expect([...loaded].filter(isMadeApart)).toEqual([]);
  },
);

it('what makes the API document would be found', async () => {
  const loaded = await filesLoadedBy('pages/api/build-document.ts');
  expect([...loaded].filter(isMadeApart).length).toBeGreaterThan(5);
});
