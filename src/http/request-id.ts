/** The last digits of a UUID, that count up: 6 hexadecimal ones. */
const COUNTER_DIGITS = 6;
const COUNTER_END = 16 ** COUNTER_DIGITS;
/** Two digits for each byte: writing a number in hexadecimal costs more than all else here. */
const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Makes ids for requests that bring none: random UUIDs whose last digits count up. They are as unique, and one costs
 * an addition where crypto.randomUUID costs as much as finding a list in the cache. They are no secrets.
 */
export function createRequestIdSource(): () => string {
  let prefix = '';
  let counter = COUNTER_END;
  return () => {
    // Not at the start: Workers have no random values outside of requests.
    if (counter === COUNTER_END) {
      const uuid = crypto.randomUUID();
      prefix = uuid.slice(0, -COUNTER_DIGITS);
      counter = Number.parseInt(uuid.slice(-COUNTER_DIGITS), 16);
    }
    const id = `${prefix}${BYTES[counter >> 16]}${BYTES[(counter >> 8) & 0xff]}${BYTES[counter & 0xff]}`;
    counter += 1;
    return id;
  };
}
