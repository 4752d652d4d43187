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
      readonly isTls: boolean;
    };

export const REDIS_URL_RULE =
  'redis:// or rediss:// with a host; several of them, comma-separated, for a cluster; or redis+sentinel:// with hosts and the name of the primary';

const DEFAULT_SENTINEL_PORT = 26_379;
const SENTINEL_URL =
  /^redis(?<tls>s?)\+sentinel:\/\/(?:(?<username>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^@/]+)\/(?<primary>[A-Za-z0-9._-]{1,64})$/;
const SENTINEL_HOST = /^(?<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::(?<port>\d{1,5}))?$/;

/**
 * Reads REDIS_URL. `redis[s]://[[user]:password@]host[:port][/database]` is the form registered with IANA; several
 * of them name the nodes of a cluster; `redis[s]+sentinel://[[user]:password@]host[:port][,host…]/primary` names
 * sentinels, and its password is that of the data nodes.
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

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname, search, hash } = new URL(text);
  return (
    /^rediss?:$/.test(protocol) &&
    hostname !== '' &&
    /^(?:\/\d{0,4})?$/.test(pathname) &&
    search === '' &&
    hash === ''
  );
}

function toSentinel({
  tls,
  username,
  password,
  hosts = '',
  primary = '',
}: Readonly<Record<string, string | undefined>>): RedisLocation | undefined {
  const sentinels = hosts.split(',').map((part) => {
    const groups = SENTINEL_HOST.exec(part)?.groups;
    const port = Number(groups?.port ?? DEFAULT_SENTINEL_PORT);
    return groups?.host === undefined || port > 65_535 ? undefined : { host: groups.host, port };
  });
  const credentials = [username, password].map(decode);
  if (sentinels.includes(undefined) || credentials.includes(null)) return undefined;
  const [decodedUsername, decodedPassword] = credentials as (string | undefined)[];
  return {
    kind: 'sentinel',
    primaryName: primary,
    sentinels: sentinels as { host: string; port: number }[],
    username: decodedUsername === '' ? undefined : decodedUsername,
    password: decodedPassword,
    isTls: tls === 's',
  };
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
