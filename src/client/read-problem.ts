import { ImageCachesProblem, UnexpectedAnswerError } from './errors.ts';
import { isObject, parseJson } from './read-list.ts';

/** The error that a response other than a list stands for. */
export function readProblem(response: Response, text: string): Error {
  const { status } = response;
  const body = parseJson(text);
  if (!isObject(body) || typeof body.code !== 'string' || typeof body.title !== 'string')
    return new UnexpectedAnswerError(status, 'the answer is neither a list nor a problem of this service');
  const { code, title, detail, instance } = body;
  return new ImageCachesProblem({
    code: code as string,
    status,
    title: title as string,
    detail: typeof detail === 'string' ? detail : undefined,
    instance: typeof instance === 'string' ? instance : undefined,
    retryAfterMs: readRetryAfterMs(response),
  });
}

/** Milliseconds from now, of seconds or of a date (RFC 9110, section 10.2.3); undefined when it is absent or neither. */
export function readRetryAfterMs({ headers }: Response): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}
