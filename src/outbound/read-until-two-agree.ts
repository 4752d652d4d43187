/** Readings in a row until two agree; after that the next check tries again. */
const MAX_READINGS = 4;

/**
 * Reads files that may be replaced at any time until two readings in a row agree, so that none of it is from before a swap
 * and none from after. What is held needs no second reading.
 *
 * @returns undefined when no two readings in a row agree
 */
export async function readUntilTwoAgree<Value>(
  read: () => Promise<Value>,
  held: Value,
  isSame: (a: Value, b: Value) => boolean,
): Promise<Value | undefined> {
  let last = await read();
  for (let count = 1; count < MAX_READINGS; count += 1) {
    if (isSame(last, held)) return last;
    const next = await read();
    if (isSame(next, last)) return next;
    last = next;
  }
  return undefined;
}
