/** What documentation and chart say of the settings, made from the rows that the service reads them by. */
import { SETTINGS, type SettingName } from '../../src/config/config.ts';
import { MEANINGS, WITHOUT } from '../../src/config/meanings.ts';
import { nameInWords, type Setting } from '../../src/config/setting.ts';
import { digitsBetween, TEXT_PATTERNS } from './text-patterns.ts';

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
  'TLS_CERT_FILE',
  'TLS_KEY_FILE',
  'TLS_CLIENT_CA_FILE',
  'HUAWEICLOUD_CREDENTIALS',
  'AUTH_ISSUERS',
  'SDK_KEYS',
  'REDIS_URL',
];

/** Secrets only with a user name and a password: values without them may stand in a Deployment, see TEXT_PATTERNS. */
const SECRET_WITH_CREDENTIALS: readonly string[] = ['HTTPS_PROXY', 'HTTP_PROXY'];

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
  const others = READ_BY_OTHERS.map((name) => [name, orNull(ANY_TEXT)]);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries([
      ...own.map(([name, row]) => [
        name,
        { description: MEANINGS[name], ...orNull(toValueSchema(name, row)) },
      ]),
      ...others,
    ]),
  };
}

/** YAML makes a number of a text of digits, and the chart makes the same text of it again. */
const ANY_TEXT = { type: ['string', 'integer'] };

/** With null a values file takes back what another one gives. */
function orNull(schema: JsonSchema): JsonSchema {
  return { ...schema, type: [schema.type, 'null'].flat() };
}

/** As the service reads it: white space around a text is dropped, and an empty one counts as not set. */
function toValueSchema(name: SettingName, { default: text, range, choices }: Setting): JsonSchema {
  const numeric = text !== undefined && range !== undefined;
  const ofDefault = text !== undefined && { default: numeric ? Number(text) : text };
  if (range !== undefined) {
    const { least, most } = range;
    const pattern = around(`0*(${digitsBetween(least, most)})`);
    return { ...ofDefault, type: ['integer', 'string'], minimum: least, maximum: most, pattern };
  }
  if (choices !== undefined) {
    // YAML makes booleans of on and off, and the chart makes words of them again.
    const type = choices.includes('on') && choices.includes('off') ? ['string', 'boolean'] : 'string';
    return { ...ofDefault, type, pattern: around(choices.join('|')) };
  }
  const form = TEXT_PATTERNS[name];
  if (form === undefined) return { ...ofDefault, ...ANY_TEXT };
  return { ...ofDefault, ...numbersOf(form), pattern: around(form) };
}

function around(form: string): string {
  return `^\\s*(${form})?\\s*$`;
}

/** Which numbers YAML may have made of texts of the form. */
function numbersOf(form: string): JsonSchema {
  const isForm = (text: string) => new RegExp(`^(?:${form})$`, 'u').test(text);
  const least = [0, 1, 10].find((number) => isForm(String(number)));
  if (isForm('1234567')) return { type: ['string', 'integer'], ...(least && { minimum: least }) };
  return isForm('0.25') ? { type: ['string', 'number'], minimum: 0, maximum: 1 } : { type: 'string' };
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
