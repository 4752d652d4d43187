/** What may be logged of an error that is not ours. */
export interface ErrorDescription {
  readonly name: string;
  readonly code?: string;
  readonly frames?: readonly string[];
  readonly cause?: ErrorDescription;
}

const MAX_CAUSES = 4;
const MAX_FRAMES = 12;
const PLAIN_WORD = /^[A-Za-z0-9_.-]{1,64}$/;

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
  const frames = error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim());
  return {
    name: PLAIN_WORD.test(error.name) ? error.name : 'Error',
    ...(typeof code === 'string' && PLAIN_WORD.test(code) ? { code } : {}),
    ...(frames === undefined ? {} : { frames }),
    ...(error.cause === undefined || depth >= MAX_CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  };
}
