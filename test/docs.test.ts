import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import * as client from '../src/client/index.ts';
import { FILE_SETTINGS, SETTING_NAMES } from '../src/config/config.ts';
import { parseIssuers } from '../src/config/documents/issuers.ts';
import { IMAGE_CACHE_EXAMPLE } from '../src/imagecaches/schema.ts';
import { createPrometheusMetrics } from '../src/runtime/node/telemetry/metrics.ts';
import { CCE_REGIONS } from '../src/vendor/regions.ts';
import { withChartDefaults } from './support/with-chart-defaults.ts';

const ROOT = new URL('../', import.meta.url);
const ROOT_PAGES = [
  'README.md',
  'README.zh-CN.md',
  'ARCHITECTURE.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
];
const docs = (await readdir(new URL('docs/', ROOT))).filter((name) => name.endsWith('.md'));
const pages = [...ROOT_PAGES, ...docs.map((name) => `docs/${name}`)];
const read = (page: string) => readFile(new URL(page, ROOT), 'utf8');

interface Block {
  readonly info: string;
  readonly text: string;
}

/** The code blocks of a page with their info strings. */
function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^ *```(\S?[^\n]*)\n(.*?)^ *```$/gms)].map(([, info = '', block = '']) => ({
    info,
    text: block,
  }));
}

const linksOf = (text: string): string[] =>
  Array.from(text.matchAll(/\]\((?!https?:)([^)]+)\)/g), ([, target = '']) => target);

/** The heading's anchor, as the common hosts make it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, '')
    .replace(/\s/g, '-');

describe.each(pages)('%s', (page) => {
  it('leads to files and headings that are there', async () => {
    for (const link of linksOf(await read(page))) {
      const [path = '', anchor] = link.split('#');
      const url = path === '' ? new URL(page, ROOT) : new URL(path, new URL(page, ROOT));
      expect(existsSync(url), link).toBe(true);
      if (anchor === undefined) continue;
      const headings = Array.from(
        (await readFile(url, 'utf8')).matchAll(/^#+ (.+)$/gm),
        ([, heading = '']) => heading,
      );
      expect(headings.map(anchorOf), link).toContain(anchor);
    }
  });

  it('has commands that the shell understands, of scripts and files that there are', async () => {
    for (const { text } of blocksOf(await read(page)).filter(({ info }) => info === 'sh')) {
      execFileSync('bash', ['-n'], { input: text });
      for (const [, script = ''] of text.matchAll(/npm (?:run )?(?:--silent )?(?:run )?([a-z][\w:]*)/g))
        if (!['ci', 'test', 'start', 'run', 'install', 'pack'].includes(script))
          expect(Object.keys(packageJson.scripts), script).toContain(script);
      for (const [path] of text.matchAll(/(?:src|deploy|docs)\/[\w./-]+/g))
        expect(existsSync(new URL(path, ROOT)), path).toBe(true);
    }
  });

  it('exports settings that there are', async () => {
    const known = [...SETTING_NAMES, ...FILE_SETTINGS.map((name) => `${name}_FILE`)];
    // What the vendor's SDKs and OpenTelemetry's exporter read for themselves.
    const ofOthers = /^HUAWEICLOUD_SDK_REGION_|^OTEL_EXPORTER_OTLP_(?:CERTIFICATE|COMPRESSION)$/;
    for (const { text } of blocksOf(await read(page)).filter(({ info }) => info === 'sh'))
      for (const line of text.split('\n').filter((candidate) => candidate.startsWith('export ')))
        for (const [, name = ''] of line.matchAll(/([A-Z][A-Z0-9_]*)=/g))
          if (!ofOthers.test(name)) expect(known, name).toContain(name);
  });

  it('has documents that are what they say', async () => {
    for (const { info, text } of blocksOf(await read(page))) {
      if (info.startsWith('json')) JSON.parse(text);
      if (info.startsWith('yaml')) expect(parse(text)).toBeTypeOf('object');
      for (const [, names = ''] of text.matchAll(/import \{ ([^}]+) \} from 'imagecaches-bff\/client'/g))
        for (const name of names.split(', ')) expect(client).toHaveProperty(name);
    }
  });

  it('speaks of itself alone', async () => {
    expect(await read(page)).not.toMatch(/\/work\/|\/root\/|localhost:\d{4,5}\/v5/);
  });
});

describe('the documentation', () => {
  it('has issuers that the service takes', async () => {
    const blocks = blocksOf(await read('docs/callers.md')).filter(({ info }) => info === 'json auth-issuers');
    expect(blocks).toHaveLength(1);
    for (const { text } of blocks) expect(parseIssuers(text)).toHaveLength(5);
  });

  it('has the regions that the service knows, and the one permission that it needs', async () => {
    const blocks = blocksOf(await read('docs/cloud.md'));
    const blockOf = (wanted: string) => blocks.find(({ info }) => info === wanted)?.text ?? '';
    expect(blockOf('text regions').trim().split(/\s+/)).toEqual([...CCE_REGIONS]);
    expect(JSON.parse(blockOf('json iam-policy'))).toEqual({
      Version: '5.0',
      Statement: [{ Effect: 'Allow', Action: ['cce:imageCache:list'] }],
    });
  });

  it('has values that the chart takes', async () => {
    const blocks = (await Promise.all(['docs/kubernetes.md', 'docs/callers.md'].map(read)))
      .flatMap(blocksOf)
      .filter(({ text }) => text.trimStart().startsWith('# values.yaml'));
    expect(blocks.length).toBeGreaterThan(4);
    const schema = JSON.parse(await read('deploy/helm/imagecaches-bff/values.schema.json')) as {
      $schema?: string;
    };
    const validate = new Ajv({ strict: false }).compile(schema);
    for (const { text } of blocks)
      expect(validate(withChartDefaults(parse(text))), JSON.stringify(validate.errors)).toBe(true);
  });

  it('shows the list with the members that there are', async () => {
    const [block] = blocksOf(await read('docs/api.md')).filter(({ info }) => info === 'json') as [Block];
    const shown = JSON.parse(block.text) as object;
    expect(JSON.stringify(shown)).toBe(JSON.stringify({ image_caches: [IMAGE_CACHE_EXAMPLE] }));
  });

  it('names every setting, and no other', async () => {
    const page = await read('docs/configure.md');
    const rows = page.split('\n').filter((line) => line.startsWith('| `'));
    const named = rows.flatMap((row) =>
      Array.from((row.split(' | ')[0] as string).matchAll(/`([A-Z][A-Z0-9_]+)`/g), ([, name = '']) => name),
    );
    const known = SETTING_NAMES.map((name) =>
      ['AUTH_ISSUERS', 'SDK_KEYS', 'CCE_AUTH_TOKEN', 'HUAWEICLOUD_SDK_CREDENTIALS'].includes(name)
        ? `${name}_FILE`
        : name,
    );
    // Aliases are named in the text.
    for (const name of known) expect(page).toContain(`\`${name}\``);
    for (const name of named) expect(known).toContain(name);
  });

  it('names every metric of its own, and no other', async () => {
    const page = await read('docs/operate.md');
    const prometheus = createPrometheusMetrics('0');
    prometheus.metrics.forTarget(undefined).observeCache(() => ({ entries: 0, bytes: 0 }));
    const exported = Array.from(
      (await prometheus.render()).matchAll(/^# TYPE (imagecaches_\w+)/gm),
      ([, name = '']) => name,
    );
    const named = Array.from(page.matchAll(/`(imagecaches_\w+)`/g), ([, name = '']) => name);
    for (const name of named) expect(exported).toContain(name);
    const text = page.replaceAll('`_cache_bytes`', '`imagecaches_cache_bytes`');
    for (const name of exported) expect(text).toContain(`\`${name}\``);
  });

  it('names tests and tools that there are', async () => {
    for (const page of ROOT_PAGES) {
      const paths = [...(await read(page)).matchAll(/`(test\/[^`\s]+)`/g)].map(([, path = '']) => path);
      expect(paths.filter((path) => !existsSync(new URL(path, ROOT)))).toEqual([]);
    }
  });

  it('is all reached from the README', async () => {
    const reached = linksOf(await read('README.md'));
    for (const page of docs) expect(reached, page).toContain(`docs/${page}`);
  });

  it('has a README in Chinese of the same structure', async () => {
    const [english, chinese] = [await read('README.md'), await read('README.zh-CN.md')];
    const shapeOf = (text: string) => ({
      headings: Array.from(text.matchAll(/^#+/gm), ([level]) => level),
      bullets: text.split('\n').filter((line) => line.startsWith('- ')).length,
      links: linksOf(text).filter((link) => !link.startsWith('README')),
      blocks: blocksOf(text),
      rows: text.split('\n').filter((line) => line.startsWith('| ')).length,
    });
    expect(shapeOf(chinese)).toEqual(shapeOf(english));
  });
});
