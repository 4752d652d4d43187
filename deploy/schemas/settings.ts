/** What documentation and chart say of the settings, made from the rows that the service reads them by. */
import { SETTINGS, type SettingName } from '../../src/config/config.ts';
import { MEANINGS, WITHOUT } from '../../src/config/meanings.ts';
import { nameInWords, type Setting } from '../../src/config/setting.ts';

const ENTRIES = Object.entries(SETTINGS) as [SettingName, Setting][];

/** The table of docs/configure.md, a row for each setting. */
export function settingsTable(): string {
  const rows = ENTRIES.map(([name, row]) => [
    `\`${nameInWords(name, row)}\``,
    row.default ?? WITHOUT[name] ?? '–',
    row.rule,
    MEANINGS[name],
  ]);
  const lines = [['name', 'default', 'value', 'meaning'], ['---', '---', '---', '---'], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

const TABLE = /(?<=<!-- Made by npm run schemas\. -->\n\n)(?:\|.*\n)+/;

/** The page with the table of today. */
export function withSettingsTable(page: string): string {
  if (!TABLE.test(page)) throw new Error('The page has no table of settings');
  return page.replace(TABLE, () => settingsTable());
}

/** The chart sets these itself: from its other values, or from Secrets and ConfigMaps that it mounts. */
const SET_BY_CHART: readonly string[] = [
  'HOST',
  'PORT',
  'METRICS_PORT',
  'HUAWEICLOUD_CREDENTIALS',
  'AUTH_ISSUERS',
  'SDK_KEYS',
  'REDIS_URL',
];

/** Secrets only with a user name and a password: values without them may stand in a Deployment. */
const SECRET_WITH_CREDENTIALS: readonly string[] = ['HTTPS_PROXY', 'HTTP_PROXY'];
const WITHOUT_CREDENTIALS = { type: 'string', pattern: '^[^@]*$' };

/** The chart knows of two spellings the one in capitals. */
const isAlias = (name: string) => /^[a-z]/.test(name);

/** Variables that Node and OpenTelemetry read for themselves. */
const READ_BY_OTHERS = [
  'OTEL_SERVICE_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
  'OTEL_EXPORTER_OTLP_TIMEOUT',
  'OTEL_EXPORTER_OTLP_COMPRESSION',
  'NODE_EXTRA_CA_CERTS',
  'NODE_OPTIONS',
];

type JsonSchema = Record<string, unknown>;

/** What a values file may have under `settings`: no secret, no setting of the chart's own, no unknown name. */
export function chartSettings(): JsonSchema {
  const own = ENTRIES.filter(
    ([name, { isSecret }]) =>
      SECRET_WITH_CREDENTIALS.includes(name) || !(isSecret || SET_BY_CHART.includes(name) || isAlias(name)),
  );
  const others = READ_BY_OTHERS.map((name) => [name, { type: ANY_TYPE }]);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries([
      ...own.map(([name, row]) => [
        name,
        {
          description: MEANINGS[name],
          ...(SECRET_WITH_CREDENTIALS.includes(name) ? WITHOUT_CREDENTIALS : toValueSchema(row)),
        },
      ]),
      ...others,
    ]),
  };
}

/** YAML makes numbers of some texts, and the chart texts of all numbers. */
const ANY_TYPE = ['string', 'integer', 'number'];

/** As the service reads it: white space around a text is dropped, and an empty one counts as not set. */
function toValueSchema({ default: text, range, choices }: Setting): JsonSchema {
  if (range !== undefined)
    return {
      ...(text !== undefined && { default: Number(text) }),
      type: ['integer', 'string'],
      minimum: range.least,
      maximum: range.most,
      pattern: '^\\s*[0-9]{0,15}\\s*$',
    };
  return {
    ...(text !== undefined && { default: text }),
    ...(choices === undefined
      ? { type: ANY_TYPE }
      : { type: 'string', pattern: `^\\s*(${choices.join('|')})?\\s*$` }),
  };
}

/** The chart mounts what a source needs, so its values name one: `auto` would depend on what is there. */
function credentialSources(): readonly string[] {
  const { choices = [] } = SETTINGS.HUAWEICLOUD_CREDENTIALS;
  return choices.filter((name) => name !== 'auto');
}

/** The chart's schema with the settings of today, and the credential sources that its values may name. */
export function withChartSettings(schema: JsonSchema): JsonSchema {
  const { properties } = schema as { properties: { credentials: { properties: object } } };
  const { credentials } = properties;
  const source = { enum: credentialSources() };
  return {
    ...schema,
    properties: {
      ...properties,
      settings: chartSettings(),
      credentials: { ...credentials, properties: { ...credentials.properties, source } },
    },
  };
}
