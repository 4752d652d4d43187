import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseIssuers } from '../src/issuers-config.ts';

const DOCS = new URL('../docs/', import.meta.url);
const pages = (await readdir(DOCS)).filter((name) => name.endsWith('.md'));

/** The code blocks of a page with their info strings. */
async function blocksOf(page: string): Promise<{ readonly info: string; readonly text: string }[]> {
  const text = await readFile(new URL(page, DOCS), 'utf8');
  return [...text.matchAll(/^ *```(\S[^\n]*)\n(.*?)^ *```$/gms)].map(([, info = '', block = '']) => ({
    info,
    text: block,
  }));
}

describe('the documentation', () => {
  it('has issuers that the service takes', async () => {
    const blocks = (await blocksOf('callers.md')).filter(({ info }) => info === 'json auth-issuers');
    expect(blocks).toHaveLength(1);
    for (const { text } of blocks) expect(parseIssuers(text)).toHaveLength(4);
  });

  it.each(pages)('%s leads to files that are there', async (page) => {
    const text = await readFile(new URL(page, DOCS), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      const url = new URL(target, new URL(page, DOCS));
      await expect(readdir(new URL('.', url)), target).resolves.toContain(
        url.pathname.replace(/\/$/, '').split('/').at(-1),
      );
    }
  });
});
