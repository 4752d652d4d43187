/** All that the soak plants, to be found nowhere: begins every access key id, secret key and password. */
export const ACCESS_KEY_ID = 'AKSOAK';
export const SECRET_KEY = 'SOAKsecret0123456789abcdefghijklmnop';
export const REDIS_PASSWORD = 'SOAKredisPassword0123456789';
/** What upstream says in its errors. */
export const UPSTREAM_TEXT = 'SOAK-UPSTREAM-TEXT';

/** And what the stand-in for upstream tells that is for nobody: members, headers and hosts of its own. */
const PLANTED = [
  ACCESS_KEY_ID,
  SECRET_KEY,
  REDIS_PASSWORD,
  UPSTREAM_TEXT,
  'swr-pull',
  'cce-internal',
  'HWWAFSESID',
  '10.247.3.17',
  'api-gateway',
];

/** The first secret in a text, or undefined. */
export function findSecret(text: string): string | undefined {
  return PLANTED.find((secret) => text.includes(secret));
}
