/** Short lives, so that every state of a list is met often. */
export const TTL_SECONDS = 1;
export const STALE_WHILE_REVALIDATE_SECONDS = 1;
export const STALE_IF_ERROR_SECONDS = 3;
/**
 * Short, so that faults end soon, and still many times what a good call takes on a machine that has more to do: a good
 * call that times out would be taken for a fault of the service.
 */
export const ATTEMPT_TIMEOUT_MS = 600;
export const DEADLINE_MS = 1500;

/** What the service is told beyond where everything is. */
export const SERVICE_SETTINGS: Readonly<Record<string, string>> = {
  AUTH_AUDIENCE: 'imagecaches',
  // On, so that uses are told to Redis, and out of the way.
  RATE_LIMIT_PER_MINUTE: '100000000',
  CACHE_TTL_SECONDS: String(TTL_SECONDS),
  CACHE_EMPTY_TTL_SECONDS: String(TTL_SECONDS),
  CACHE_STALE_WHILE_REVALIDATE_SECONDS: String(STALE_WHILE_REVALIDATE_SECONDS),
  CACHE_STALE_IF_ERROR_SECONDS: String(STALE_IF_ERROR_SECONDS),
  UPSTREAM_CONNECT_TIMEOUT_MS: '400',
  UPSTREAM_ATTEMPT_TIMEOUT_MS: String(ATTEMPT_TIMEOUT_MS),
  UPSTREAM_DEADLINE_MS: String(DEADLINE_MS),
  SHUTDOWN_DELAY_SECONDS: '0',
  SHUTDOWN_GRACE_SECONDS: '5',
  LOG_LEVEL: 'warn',
  NODE_OPTIONS: '--unhandled-rejections=strict',
};
