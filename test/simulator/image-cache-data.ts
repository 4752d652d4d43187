import { randomNumbers } from './random-numbers.ts';

/** One entry as the vendor sends it, internal members included. */
export interface VendorImageCache {
  name: string;
  id: string;
  created_at: string;
  images: string[];
  image_cache_size: number;
  retention_days?: number;
  building_config: { cluster: string; image_pull_secrets: string[] };
  status: string;
  message?: string;
}

/** One tenant may own at most this many image caches. */
export const MAX_IMAGE_CACHES = 50;

const STATUSES = [
  'Available',
  'Available',
  'Available',
  'Creating',
  'Unavailable',
  'Available',
  'Deleting',
  'Failed',
];
const TEAMS = ['payments', 'search', 'checkout', 'catalog', 'risk', 'media', 'ledger', 'ml'];
const PARTS = ['api', 'worker', 'gateway', 'batch', 'trainer', 'web', 'stream'];
const REGISTRIES = ['swr.cn-north-4.myhuaweicloud.com', 'swr.cn-east-3.myhuaweicloud.com'];
const RETENTION_DAYS = [0, 7, 30, undefined, 90, 365, 10_000];
const OFFSETS = ['+0000 UTC', '+0000 UTC', '+0000 UTC', '+0800 CST', '-0300 -03', '+0530 IST', '+0000 UTC'];
const FIRST_CREATED_AT_MS = Date.UTC(2024, 10, 25, 6, 32, 34);
const SECOND_MS = 1000;
const DAY_SECONDS = 86_400;

/** Realistic image caches: the same seed gives the same list. */
export function makeImageCaches(count = MAX_IMAGE_CACHES, seed = 20_241_125): VendorImageCache[] {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, (_, index) => makeImageCache(index, random));
}

function makeImageCache(index: number, random: () => number): VendorImageCache {
  const team = pick(TEAMS, index);
  const part = pick(PARTS, index);
  const registry = pick(REGISTRIES, index);
  const images = Array.from(
    { length: 1 + (index % 3) },
    (_, image) =>
      `${registry}/${team}/${part}${image === 0 ? '' : `-sidecar${image}`}:${versionOf(index, random)}`,
  );
  const status = pick(STATUSES, index);
  const retentionDays = pick(RETENTION_DAYS, index);
  const pullSecrets = Array.from({ length: index % 3 }, (_, n) => `${team}-prod:swr-pull-${n + 1}`);
  return {
    name: `${team}-${part}-${String(index + 1).padStart(2, '0')}`,
    id: uuid(random),
    created_at: createdAt(index, random),
    images,
    image_cache_size: 20 + Math.floor(random() * 381),
    ...(retentionDays === undefined ? {} : { retention_days: retentionDays }),
    building_config: { cluster: uuid(random), image_pull_secrets: pullSecrets },
    status,
    ...(status === 'Failed' ? { message: failureOf(team, images[0] ?? '') } : {}),
  };
}

/** Go's Time.String(): 0 to 9 fraction digits, now and then another offset or a monotonic reading. */
function createdAt(index: number, random: () => number): string {
  const offset = pick(OFFSETS, index);
  const atMs = FIRST_CREATED_AT_MS + Math.floor(random() * 300 * DAY_SECONDS) * SECOND_MS;
  const local = new Date(atMs + offsetMinutes(offset) * 60 * SECOND_MS);
  const digits = index % 10;
  const fraction = Array.from({ length: digits }, (_, n) =>
    n === digits - 1 ? 1 + Math.floor(random() * 9) : Math.floor(random() * 10),
  ).join('');
  const monotonic = index % 13 === 5 ? ` m=+${(random() * 1000).toFixed(9)}` : '';
  const seconds = local.toISOString().slice(0, 19).replace('T', ' ');
  return `${seconds}${fraction === '' ? '' : `.${fraction}`} ${offset}${monotonic}`;
}

function offsetMinutes(offset: string): number {
  const sign = offset.startsWith('-') ? -1 : 1;
  return sign * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(3, 5)));
}

function failureOf(team: string, image: string): string {
  return (
    `Failed to pull image "${image}" with secret ${team}-prod:swr-pull-1: rpc error: code = Unknown desc = ` +
    `dial tcp 10.247.3.17:443 (registry-mirror.cce-internal.example.com): i/o timeout`
  );
}

function versionOf(index: number, random: () => number): string {
  return `${1 + (index % 4)}.${Math.floor(random() * 30)}.${Math.floor(random() * 10)}`;
}

function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  hex[12] = '4';
  hex[16] = (8 + Math.floor(random() * 4)).toString(16);
  const text = hex.join('');
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join(
    '-',
  );
}

function pick<T>(list: readonly T[], index: number): T {
  return list[index % list.length] as T;
}
