/** A UUID's last group: 12 hexadecimal digits. */
const COUNTER_DIGITS = 12;
const COUNTER_RANGE = 16 ** COUNTER_DIGITS;

/**
 * Makes ids for requests that bring none: random UUIDs whose last group counts up. They are as unique, and one costs
 * an addition where crypto.randomUUID costs as much as finding a list in the cache. They are no secrets.
 */
export function createRequestIdSource(): () => string {
  let prefix: string | undefined;
  let counter = 0;
  return () => {
    // Not at the start: Workers have no random values outside of requests.
    if (prefix === undefined) {
      const uuid = crypto.randomUUID();
      prefix = uuid.slice(0, -COUNTER_DIGITS);
      counter = Number.parseInt(uuid.slice(-COUNTER_DIGITS), 16);
    }
    counter = (counter + 1) % COUNTER_RANGE;
    return prefix + counter.toString(16).padStart(COUNTER_DIGITS, '0');
  };
}
