/**
 * `npm run keys -- add NAME [--file PATH] [--scope SCOPE]… [--expires DATE]`: makes a key pair for a caller that uses
 * one of the vendor's SDKs, adds it to the file (default: SDK_KEYS_FILE, else sdk-keys.json) and prints it once, with all
 * variables that point a client at the service, for a shell and as a Kubernetes Secret. `--format` chooses one of the two.
 * `list` shows what the file holds without secrets; `remove ID` takes a pair out. A running service follows the file.
 */
import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseLocalKeys } from '../../config/documents/local-keys.ts';
import { isSecureUrl } from '../../config/urls.ts';
import { REGION_NAME } from '../../pages/projects-query.ts';
import { CLIENT_FORMATS, type ClientFormat, type ClientSettings } from './keys/client-settings.ts';
import { readTextFile } from './platform/read-text-file.ts';

const USAGE = `npm run keys -- add NAME [--scope SCOPE]… [--expires 2027-01-31T00:00:00Z] [--file PATH]
  [--url https://imagecaches.example.com] [--region cn-north-4] [--format shell|kubernetes]
npm run keys -- list [--file PATH]
npm run keys -- remove ACCESS_KEY_ID [--file PATH]
`;
/** 20 letters and digits, as the vendor's have. */
const ACCESS_KEY_ID_BYTES = 10;
/** 40 characters, 240 bits. */
const SECRET_BYTES = 30;
/** Stand where the service's URL and region are not known. */
const EXAMPLE_URL = 'https://imagecaches.example.com';
const EXAMPLE_REGION = 'cn-north-4';
const EX_USAGE = 64;
const EX_DATAERR = 65;

interface KeyDocument {
  keys: {
    accessKeyId: string;
    secretAccessKey: string;
    subject: string;
    scopes?: string[];
    expiresAt?: string;
  }[];
}

class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  constructor(message: string, exitCode = EX_DATAERR) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function readDocument(path: string): Promise<KeyDocument> {
  let text: string;
  try {
    text = await readTextFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { keys: [] };
    throw new CommandError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const parsed = parseLocalKeys(text);
  if ('faults' in parsed) throw new CommandError(`${path}: ${parsed.faults.join('; ')}`);
  return JSON.parse(text) as KeyDocument;
}

/** Whole or not at all, and for the owner only: it holds secrets. */
async function writeDocument(path: string, document: KeyDocument): Promise<void> {
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const parsed = parseLocalKeys(text);
  if ('faults' in parsed) throw new CommandError(parsed.faults.join('; '), EX_USAGE);
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
  await rename(temporary, path);
}

interface ClientOptions {
  readonly url?: string | undefined;
  readonly region?: string | undefined;
  readonly format?: string | undefined;
}

/** Where the client finds the service: from the options, else from the settings of the service, else examples. */
function readPlace({ url, region }: ClientOptions): Pick<ClientSettings, 'url' | 'region'> {
  const { SDK_PUBLIC_HOST: host, CCE_REGION: ownRegion } = process.env;
  const place = {
    url: url ?? (host ? `https://${host}` : EXAMPLE_URL),
    region: region ?? (ownRegion || EXAMPLE_REGION),
  };
  // A path would be signed by the client, and taken away by whatever leads it here.
  if (!isSecureUrl(place.url) || new URL(place.url).pathname + new URL(place.url).search !== '/')
    throw new CommandError('--url must be an https URL, or http on loopback, without a path', EX_USAGE);
  if (!REGION_NAME.test(place.region))
    throw new CommandError('--region must be the name of a region, such as cn-north-4', EX_USAGE);
  return { ...place, url: new URL(place.url).origin };
}

function readFormats({ format }: ClientOptions): readonly ClientFormat[] {
  const known = Object.keys(CLIENT_FORMATS) as ClientFormat[];
  if (format === undefined) return known;
  const chosen = known.filter((name) => name === format);
  if (chosen.length === 0) throw new CommandError(`--format must be ${known.join(' or ')}`, EX_USAGE);
  return chosen;
}

/** @returns the new pair's environment for its client, in one form or all */
async function addPair(
  path: string,
  document: KeyDocument,
  subject: string,
  more: { readonly scopes?: string[]; readonly expiresAt?: string },
  options: ClientOptions,
): Promise<string> {
  const place = readPlace(options);
  const formats = readFormats(options);
  const pair = {
    accessKeyId: `LK${randomBytes(ACCESS_KEY_ID_BYTES - 1)
      .toString('hex')
      .toUpperCase()}`,
    secretAccessKey: randomBytes(SECRET_BYTES).toString('base64url'),
    subject,
    ...more,
  };
  document.keys.push(pair);
  await writeDocument(path, document);
  if (place.url === EXAMPLE_URL)
    process.stderr.write(`${EXAMPLE_URL} stands for the URL of the service: give it with --url.\n`);
  return formats.map((format) => CLIENT_FORMATS[format]({ ...pair, ...place })).join('---\n');
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      file: { type: 'string' },
      scope: { type: 'string', multiple: true },
      expires: { type: 'string' },
      url: { type: 'string' },
      region: { type: 'string' },
      format: { type: 'string' },
    },
  });
  const path = values.file ?? process.env.SDK_KEYS_FILE ?? 'sdk-keys.json';
  const [command, name, ...rest] = positionals;
  if (rest.length > 0) throw new CommandError(USAGE, EX_USAGE);
  const document = command === undefined ? { keys: [] } : await readDocument(path);
  if (command === 'add' && name !== undefined) {
    const more = {
      ...(values.scope && { scopes: values.scope }),
      ...(values.expires !== undefined && { expiresAt: values.expires }),
    };
    process.stdout.write(await addPair(path, document, name, more, values));
    process.stderr.write(`Added ${name} to ${path}. The secret is not shown again.\n`);
  } else if (command === 'list' && name === undefined) {
    for (const { accessKeyId, subject, scopes, expiresAt } of document.keys) {
      const fields = [accessKeyId, subject, (scopes ?? []).join(' '), expiresAt ?? 'does not expire'];
      process.stdout.write(`${fields.filter((field) => field !== '').join('\t')}\n`);
    }
  } else if (command === 'remove' && name !== undefined) {
    const kept = document.keys.filter(({ accessKeyId }) => accessKeyId !== name);
    if (kept.length === document.keys.length)
      throw new CommandError(`${path} has no key pair with this access key id`);
    await writeDocument(path, { ...document, keys: kept });
    process.stderr.write(`Removed it from ${path}.\n`);
  } else throw new CommandError(USAGE, EX_USAGE);
}

try {
  await main();
} catch (error) {
  const isOurs = error instanceof CommandError;
  const isUsage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') ?? false;
  process.stderr.write(isOurs ? `${error.message.trimEnd()}\n` : isUsage ? USAGE : `${String(error)}\n`);
  process.exitCode = isOurs ? error.exitCode : isUsage ? EX_USAGE : 70;
}
