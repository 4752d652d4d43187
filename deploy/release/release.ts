/** `npm run release -- X.Y.Z`: sets the version everywhere, and gives the changes of CHANGELOG.md their heading. */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { setVersion, VERSIONED_FILES } from './set-version.ts';

const [version = ''] = process.argv.slice(2);
const ROOT = new URL('../../', import.meta.url);
const today = new Date().toISOString().slice(0, 10);
for (const file of VERSIONED_FILES) {
  const url = new URL(file, ROOT);
  await writeFile(url, setVersion(file, await readFile(url, 'utf8'), version, today));
}
// The API document and the lock file follow from package.json.
execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], { cwd: ROOT, stdio: 'inherit' });
execFileSync('npm', ['run', '--silent', 'schemas'], { cwd: ROOT, stdio: 'inherit' });
process.stdout.write(`Version ${version}. Now: npm run manifests, npm run check, commit, tag v${version}.\n`);
