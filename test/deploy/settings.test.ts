import { readdir, readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { withChartSettings, withSettingsTable } from '../../deploy/schemas/settings.ts';
import { FILE_SETTINGS, SETTING_NAMES, SETTINGS } from '../../src/config/config.ts';
import type { Setting } from '../../src/config/setting.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, ROOT), 'utf8');
const ROWS = Object.entries(SETTINGS) as [string, Setting][];

const page = await read('docs/configure.md');
/** Cells of the table by the name in the first one. */
const documented = new Map(
  page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, name = '', defaultText = '', value = '', meaning = '']) => [
      name.replaceAll('`', ''),
      { defaultText, value, meaning },
    ]),
);

const chart = JSON.parse(await read('deploy/helm/imagecaches-bff/values.schema.json'));
const settingsOfChart = chart.properties.settings.properties as Record<string, { default?: unknown }>;
/** Over the chart's defaults, as Helm merges values before it looks at the schema. */
const chartDefaults = parse(await read('deploy/helm/imagecaches-bff/values.yaml')) as object;
const isTakenByChart = (() => {
  const validate = new Ajv({ strict: false }).compile(chart);
  return (settings: object) => validate({ ...chartDefaults, settings }) as boolean;
})();
/** Good for some settings and bad for others. */
const TEXTS = [
  ...['0', '1', '007', '29', '30', '0.25', '1.0', '1.5', '2', '65536', '99999999999', '1e3', '-1'],
  ...['cn-north-4', 'cn-north-3', 'auto', 'none', 'a,b', 'a, b', 'a,,b', ',', 'a b', 'ä', '"', '\\', 'a"b'],
  ...['RS256', 'RS256, ES256', 'HS256', 'RS256 ES256', 'imagecaches:read', 'a'.repeat(65), 'under_score'],
  ...[
    'https://a.example.com',
    'https://a.example.com/',
    'https://a.example.com:8443/base',
    'HTTPS://a.example',
  ],
  ...['https://a.example.com/b?c=d', 'https://a.example.com/#e', 'https://u:p@a.example.com', 'https://'],
  ...[
    'https://a.example.com:65536',
    'https://a.example.com:x',
    'https://a b',
    'ftp://a.example.com',
    'a.example',
  ],
  ...[
    'http://a.example.com',
    'http://127.0.0.1:8080',
    'http://localhost',
    'http://[::1]:9',
    'http://10.0.0.1',
  ],
  ...[
    'http://169.254.170.23/v1/credentials',
    'http://[fe80::1]/x',
    'https://[2001:db8::1]:443/',
    '/etc/jwks.json',
  ],
  ...[
    'https://a.example.com, https://b.example.com',
    'http://localhost:3000',
    'a.example.com:443',
    '[::1]:8443',
  ],
  ...[
    '10.0.0.0/8',
    '10.0.0.0/33',
    '256.1.1.1',
    '127.0.0.1, ::1',
    '2001:db8::/32',
    '::/129',
    '10.0.0.0/8,none',
  ],
];
const rowsOfChart = ROWS.filter(([name]) => name in settingsOfChart);

describe('the settings in the documentation', () => {
  it('are those that there are, each once', () => {
    const inFiles = /^(?:AUTH_ISSUERS|SDK_KEYS|CCE_AUTH_TOKEN|HUAWEICLOUD_SDK_CREDENTIALS)$/;
    const names = ROWS.map(([name]) => (inFiles.test(name) ? `${name}_FILE` : name));
    expect([...documented.keys()]).toEqual(names);
    expect(page.split('\n').filter((line) => line.startsWith('| `'))).toHaveLength(names.length);
  });

  it.each(ROWS)('%s has its default, its allowed values and a meaning', (name, row) => {
    const cells = documented.get(name) ?? documented.get(`${name}_FILE`);
    if (row.default !== undefined) expect(cells?.defaultText).toBe(row.default);
    else
      expect(cells?.defaultText).toMatch(
        /^(?:–|`aud`|the (?:vendor|issuer)'s.*|~\/\.huaweicloud\/credentials with .*)$/,
      );
    expect(cells?.value).toBe(row.rule);
    if (row.range !== undefined)
      expect(cells?.value).toContain(`from ${row.range.least} to ${row.range.most}`);
    for (const choice of row.choices ?? []) expect(cells?.value).toContain(choice);
    expect(cells?.meaning).not.toBe('');
  });

  it('are written by npm run schemas', () => {
    // The formatter pads the cells.
    const withoutPadding = (text: string) => text.replace(/ {2,}/g, ' ').replace(/-{3,}/g, '---');
    expect(withoutPadding(withSettingsTable(page))).toBe(withoutPadding(page));
  });

  it('say which of them may come from a file', () => {
    const [sentence = ''] = /`NAME_FILE` reads [^;]+;/.exec(page.replaceAll('\n', ' ')) ?? [];
    const named = Array.from(sentence.matchAll(/`([A-Z_]+)`/g), ([, name = '']) => name)
      .filter((name) => name !== 'NAME_FILE')
      .map((name) => name.replace(/^_/, 'HUAWEICLOUD_SDK_'));
    const possible = FILE_SETTINGS.filter((name) => !documented.has(`${name}_FILE`));
    expect(named.sort()).toEqual([...possible].sort());
  });
});

describe("the settings in the chart's schema", () => {
  it('are written by npm run schemas', () => {
    expect(withChartSettings(chart)).toEqual(chart);
  });

  it('have the defaults of the service', () => {
    for (const [name, row] of rowsOfChart) {
      const { default: value } = settingsOfChart[name] as { default?: unknown };
      expect(value === undefined ? undefined : String(value), name).toBe(row.default);
    }
  });

  it.each(rowsOfChart)('take of %s what the service takes', (name, row) => {
    for (const text of [row.example, row.default ?? '', ` ${row.example} `, ''])
      expect(isTakenByChart({ [name]: text }), text).toBe(true);
    for (const choice of row.choices ?? []) {
      expect(isTakenByChart({ [name]: choice })).toBe(true);
      expect(isTakenByChart({ [name]: `${choice}x` })).toBe(false);
    }
    if (row.range !== undefined) {
      const { least, most } = row.range;
      for (const value of [least, most, String(least), String(most)])
        expect(isTakenByChart({ [name]: value }), `${value}`).toBe(true);
      for (const value of [least - 1, most + 1, least + 0.5, 'x', '1.5', '-1', String(most + 1)])
        expect(isTakenByChart({ [name]: value }), `${value}`).toBe(false);
    }
  });

  it.each(rowsOfChart.filter(([, { choices }]) => choices === undefined))(
    'refuse of %s what the service refuses',
    (name, row) => {
      // A proxy with a user name and a password is a secret.
      const isSecret = (text: string) => /^HTTPS?_PROXY$/.test(name) && text.includes('@');
      for (const text of TEXTS)
        expect(isTakenByChart({ [name]: text }), `${name}: ${text}`).toBe(
          row.form.safeParse(text).success && !isSecret(text),
        );
      for (const value of [true, false]) expect(isTakenByChart({ [name]: value })).toBe(false);
    },
  );

  it('take what YAML makes of on, off and null', () => {
    for (const [name, { choices = [] }] of rowsOfChart) {
      expect(isTakenByChart({ [name]: true }), name).toBe(choices.includes('on'));
      expect(isTakenByChart({ [name]: null })).toBe(true);
    }
  });

  it('take numbers where their text is taken', () => {
    for (const value of [0, 1, 5, 1_000_000, 12_345_678])
      for (const [name, row] of rowsOfChart.filter(([, { choices }]) => choices === undefined))
        expect(isTakenByChart({ [name]: value }), `${name}: ${value}`).toBe(
          row.form.safeParse(String(value)).success,
        );
  });

  it('take no setting that holds a secret, and none that the chart sets', () => {
    const set = [
      ...['HOST', 'PORT', 'METRICS_PORT', 'HUAWEICLOUD_CREDENTIALS', 'AUTH_ISSUERS'],
      ...['TLS_CERT_FILE', 'TLS_KEY_FILE', 'TLS_CLIENT_CA_FILE'],
    ];
    const secret = [
      ...['HUAWEICLOUD_SDK_AK', 'HUAWEICLOUD_SDK_SK', 'HUAWEICLOUD_SDK_SECURITY_TOKEN'],
      ...['CLOUD_SDK_AK', 'CLOUD_SDK_SK', 'SDK_KEYS', 'REDIS_URL'],
      ...['CCE_AUTH_TOKEN', 'HUAWEICLOUD_OIDC_ID_TOKEN', 'HUAWEICLOUD_SDK_CREDENTIALS'],
      ...['https_proxy', 'http_proxy'],
    ];
    // Another spelling of NO_PROXY.
    const aliases = ['no_proxy'];
    for (const name of [...set, ...secret]) {
      expect(SETTING_NAMES).toContain(name);
      for (const named of [name, `${name}_FILE`])
        expect(isTakenByChart({ [named]: SETTINGS[name as keyof typeof SETTINGS].example })).toBe(false);
    }
    expect(rowsOfChart).toHaveLength(ROWS.length - set.length - secret.length - aliases.length);
    for (const name of ['HTTPS_PROXY', 'HTTP_PROXY'])
      expect(isTakenByChart({ [name]: 'http://user:planted@proxy.example.test:3128' })).toBe(false);
  });

  it('name the sources of credentials', () => {
    expect(['auto', ...chart.properties.credentials.properties.source.enum]).toEqual(
      SETTINGS.HUAWEICLOUD_CREDENTIALS.choices,
    );
  });
});

describe('defaults outside of the service', () => {
  it("are the service's: of the chart", async () => {
    const values = parse(await read('deploy/helm/imagecaches-bff/values.yaml'));
    expect(String(values.metrics.port)).toBe(SETTINGS.METRICS_PORT.default);
    const folder = 'deploy/helm/imagecaches-bff/templates/';
    const templates = (await read(`${folder}_helpers.tpl`)) + (await read(`${folder}_validate.tpl`));
    const used = Array.from(templates.matchAll(/dig "([A-Z_]+)" "(\d+)" \$settings/g));
    expect(used.map(([, name]) => name)).toEqual([
      'SHUTDOWN_DELAY_SECONDS',
      'SHUTDOWN_GRACE_SECONDS',
      'UPSTREAM_CONNECT_TIMEOUT_MS',
      'UPSTREAM_ATTEMPT_TIMEOUT_MS',
      'UPSTREAM_DEADLINE_MS',
    ]);
    for (const [, name, text] of used) expect(SETTINGS[name as keyof typeof SETTINGS].default).toBe(text);
  });

  it('and of the image', async () => {
    const { PORT, METRICS_PORT } = SETTINGS;
    expect(await read('deploy/Dockerfile')).toContain(`EXPOSE ${PORT.default} ${METRICS_PORT.default}\n`);
  });
});

describe('the doctor', () => {
  it('names settings that there are', async () => {
    const folder = 'src/runtime/node/doctor/';
    const files = (await readdir(new URL(folder, ROOT))).filter((name) => name.endsWith('.ts'));
    const texts = await Promise.all(files.map((name) => read(folder + name)));
    const named = texts.flatMap((text) =>
      Array.from(
        text.matchAll(/\b(?:HUAWEICLOUD|CLOUD_SDK|AUTH|SDK|CCE|REDIS|METRICS)_[A-Z_]+\b/g),
        ([name]) => name.replace(/_FILE$/, ''),
      ),
    );
    expect(new Set(named).size).toBeGreaterThan(5);
    for (const name of named) expect(SETTING_NAMES).toContain(name);
  });
});
