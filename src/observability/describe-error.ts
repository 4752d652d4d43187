/** What may be logged of an error that is not ours. */
export interface ErrorDescription {
  readonly name: string;
  readonly code?: string;
  readonly frames?: readonly string[];
  readonly cause?: ErrorDescription;
}

const MAX_CAUSES = 4;
const MAX_FRAMES = 12;
const PLAIN_WORD = /^[A-Za-z0-9_.$-]{1,64}$/;

/**
 * Describes an unknown error without its message. Messages quote what they choke on: JSON.parse quotes the
 * body, URL parsing the URL, a header check the header's value, which may be a token or a key. The name, the
 * code and our own stack frames tell a developer where to look.
 *
 * @param error anything that was thrown
 */
export function describeError(error: unknown, depth = 0): ErrorDescription {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = (error as { code?: unknown }).code;
  const frames = framesOf(error);
  return {
    name: PLAIN_WORD.test(error.name) ? error.name : 'Error',
    ...(typeof code === 'string' && PLAIN_WORD.test(code) ? { code } : {}),
    ...(frames === undefined ? {} : { frames }),
    ...(error.cause === undefined || depth >= MAX_CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** What stands before the message: a name, and with some of Node's errors a code. */
const STACK_HEAD = /^[\w.$]*(?: \[\w+\])?(?:: )?$/;

/** A frame names a place in a source file. */
const STACK_FRAME = /^\s+at .*:\d+:\d+\)?$/;

/**
 * The stack without the message that it begins with: a message may hold lines that look like frames. Undefined
 * when the stack does not begin with just this message, since then nothing tells the two apart.
 */
function framesOf({ stack = '', message }: Error): string[] | undefined {
  const head = message === '' ? (stack.split('\n', 1)[0] as string) : stack.slice(0, stack.indexOf(message));
  const rest = stack.slice(head.length + message.length);
  if (!STACK_HEAD.test(head) || !stack.startsWith(message, head.length) || !rest.startsWith('\n'))
    return undefined;
  return rest
    .split('\n')
    .filter((line) => STACK_FRAME.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim());
}
