import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { setVersion, VERSIONED_FILES } from '../../deploy/release/set-version.ts';
import packageJson from '../../package.json' with { type: 'json' };

const read = (file: string) => readFile(new URL(`../../${file}`, import.meta.url), 'utf8');
const DATE = '2026-01-02';

describe('setVersion', () => {
  it('finds its place in every file, and changes nothing else', async () => {
    for (const file of VERSIONED_FILES) {
      const before = await read(file);
      const after = setVersion(file, before, '9.8.7-rc.1', DATE);
      expect(after).toContain('9.8.7-rc.1');
      const changed = after.split('\n').filter((line) => !before.split('\n').includes(line));
      expect(changed.length).toBeLessThanOrEqual(2);
      if (file !== 'CHANGELOG.md') expect(setVersion(file, after, packageJson.version, DATE)).toBe(before);
    }
  });

  it('leaves a place for what comes next', async () => {
    const after = setVersion('CHANGELOG.md', await read('CHANGELOG.md'), '1.0.0', DATE);
    expect(after).toContain('## Unreleased\n\n## 1.0.0 (2026-01-02)\n');
  });

  it.each(['', '1', '1.2', 'v1.2.3', '01.2.3', '1.2.3+build', '1.2.3 '])('refuses %j', (version) => {
    expect(() => setVersion('package.json', '', version, DATE)).toThrow('like 1.2.3');
  });

  it('refuses a file without a place', () => {
    expect(() => setVersion('package.json', '{}', '1.2.3', DATE)).toThrow('no place');
  });
});
