/**
 * Goes on at once with a value that is there, later with one that is promised. A step that is nearly always
 * ready costs no turn of the event loop this way, where `await` always does.
 */
export function whenReady<Value, Next>(
  value: Value | Promise<Value>,
  next: (value: Value) => Next | Promise<Next>,
): Next | Promise<Next> {
  return value instanceof Promise ? value.then(next) : next(value);
}
