/** Where Redis or Valkey is, as REDIS_URL says it. */
export type RedisLocation =
  | { readonly kind: 'single'; readonly url: string }
  | { readonly kind: 'cluster'; readonly urls: readonly string[] }
  | {
      readonly kind: 'sentinel';
      readonly primaryName: string;
      readonly sentinels: readonly { readonly host: string; readonly port: number }[];
      readonly username: string | undefined;
      readonly password: string | undefined;
      /** Of the sentinels themselves, where they ask for one. */
      readonly sentinelUsername: string | undefined;
      readonly sentinelPassword: string | undefined;
      readonly isTls: boolean;
    };

export const REDIS_URL_RULE =
  'redis:// or rediss:// with a host; several of them, comma-separated, for a cluster; or redis+sentinel:// with hosts and the name of the primary';

/** The fault of a URL that is not valid; it shows nothing of it. */
export const REDIS_CREDENTIALS_FAULT =
  'has a user name or password with characters that must be percent-encoded in a URL: % as %25, # as %23, / as %2F, ? as %3F, @ as %40, comma as %2C';

const DEFAULT_SENTINEL_PORT = 26_379;
const SENTINEL_URL =
  /^redis(?<tls>s?)\+sentinel:\/\/(?:(?<username>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^@/?#]+)\/(?<primary>[A-Za-z0-9._-]{1,64})(?:\?(?<query>[^?#]*))?$/;
const SENTINEL_HOST = /^(?<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::(?<port>\d{1,5}))?$/;
const SENTINEL_PARAMETERS = ['sentinel_username', 'sentinel_password'];

/**
 * Reads REDIS_URL. `redis[s]://[[user]:password@]host[:port][/database]` is the form registered with IANA; several
 * of them name the nodes of a cluster; `redis[s]+sentinel://[[user]:password@]host[:port][,host…]/primary` names
 * sentinels, and its password is that of the data nodes; `?sentinel_username=…&sentinel_password=…` are those of the
 * sentinels.
 *
 * @returns undefined when it is none of these
 */
export function parseRedisUrl(text: string): RedisLocation | undefined {
  const sentinel = SENTINEL_URL.exec(text)?.groups;
  if (sentinel !== undefined) return toSentinel(sentinel);
  const urls = text.split(',').map((part) => part.trim());
  if (!urls.every(isRedisUrl)) return undefined;
  const [first] = urls as [string];
  return urls.length === 1 ? { kind: 'single', url: first } : { kind: 'cluster', urls };
}

/** A character that would have to be percent-encoded before the last `@` of something like a URL. */
const BARE_CREDENTIALS = /^rediss?(?:\+sentinel)?:\/\/.*(?:[#/?,@]|%(?![0-9A-Fa-f]{2})).*@/is;
/** Or in a parameter of sentinels. */
const BARE_PARAMETER =
  /^rediss?\+sentinel:.*[?&]sentinel_(?:username|password)=.*(?:#|%(?![0-9A-Fa-f]{2}))/is;
const ENCODED = /%[0-9A-Fa-f]{2}/;
/** Between the nodes of a cluster. */
const BETWEEN_NODES = /,\s*(?=rediss?:\/\/)/i;

/**
 * What is wrong with a URL that parseRedisUrl does not take, where that is more than its form. Shows nothing of it.
 *
 * @returns undefined when there is nothing more to say
 */
export function explainRedisUrl(text: string): string | undefined {
  const isBare = text
    .split(BETWEEN_NODES)
    .some((part) => BARE_CREDENTIALS.test(part) || BARE_PARAMETER.test(part));
  // Octets that are not UTF-8.
  const isUndecodable = ENCODED.test(text) && decode(text) === null;
  return isBare || isUndecodable ? REDIS_CREDENTIALS_FAULT : undefined;
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname, search, hash, username, password } = new URL(text);
  return (
    /^rediss?:$/.test(protocol) &&
    hostname !== '' &&
    /^(?:\/\d{0,4})?$/.test(pathname) &&
    search === '' &&
    hash === '' &&
    decode(username) !== null &&
    decode(password) !== null
  );
}

function toSentinel({
  tls,
  username,
  password,
  hosts = '',
  primary = '',
  query,
}: Readonly<Record<string, string | undefined>>): RedisLocation | undefined {
  const sentinels = hosts.split(',').map((part) => {
    const groups = SENTINEL_HOST.exec(part)?.groups;
    const port = Number(groups?.port ?? DEFAULT_SENTINEL_PORT);
    return groups?.host === undefined || port > 65_535 ? undefined : { host: groups.host, port };
  });
  const parameters = readParameters(query);
  if (sentinels.includes(undefined) || parameters === undefined) return undefined;
  const credentials = [username, password, ...SENTINEL_PARAMETERS.map((name) => parameters.get(name))].map(
    decode,
  );
  if (credentials.includes(null)) return undefined;
  const [decodedUsername, decodedPassword, sentinelUsername, sentinelPassword] = credentials as (
    | string
    | undefined
  )[];
  return {
    kind: 'sentinel',
    primaryName: primary,
    sentinels: sentinels as { host: string; port: number }[],
    username: decodedUsername === '' ? undefined : decodedUsername,
    password: decodedPassword,
    sentinelUsername: sentinelUsername === '' ? undefined : sentinelUsername,
    sentinelPassword,
    isTls: tls === 's',
  };
}

/** By hand, since URLSearchParams reads a plus sign as a space. Undefined when one is unknown or there twice. */
function readParameters(query: string | undefined): Map<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (const part of query === undefined ? [] : query.split('&')) {
    const [name = '', ...value] = part.split('=');
    if (!SENTINEL_PARAMETERS.includes(name) || parameters.has(name)) return undefined;
    parameters.set(name, value.join('='));
  }
  return parameters;
}

/** Null when its percent-encoding is broken. */
function decode(text: string | undefined): string | undefined | null {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
