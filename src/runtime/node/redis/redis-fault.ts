import {
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  DisconnectsClientError,
  ErrorReply,
  RootNodesUnavailableError,
  SocketClosedUnexpectedlyError,
} from '@redis/client';
import type { RedisWord, SharedFault, SharedLack } from '../../../observability/metrics.ts';

/** The words that are reported: a fixed list, since the rest of an error is text of others. */
const WORDS: Readonly<Record<RedisWord, true>> = {
  OOM: true,
  READONLY: true,
  NOPERM: true,
  NOAUTH: true,
  WRONGPASS: true,
  LOADING: true,
  MASTERDOWN: true,
  MOVED: true,
  ASK: true,
  CLUSTERDOWN: true,
  CROSSSLOT: true,
  MISCONF: true,
  NOREPLICAS: true,
  BUSY: true,
  DENIED: true,
  ERR: true,
};

const CONNECTION_ERRORS = [
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  DisconnectsClientError,
  RootNodesUnavailableError,
  SocketClosedUnexpectedlyError,
];

/** Redis did not answer in time. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';
}

/** The URL is not one of parseRedisUrl. */
export class RedisLocationError extends Error {
  override readonly name = 'RedisLocationError';
}

/** What an error says of the server: a word of the list, or one of ours. Looks along the causes. */
export function faultOf(error: unknown): Exclude<SharedFault, SharedLack> {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof ErrorReply) return wordOf(current.message);
    if (current instanceof RedisTimeoutError) return 'timeout';
    if (current instanceof RedisLocationError) return 'location';
    if (CONNECTION_ERRORS.some((kind) => current instanceof kind)) return 'unreachable';
    // What sockets and name servers say: ECONNREFUSED and the like.
    if (typeof (current as NodeJS.ErrnoException).code === 'string') return 'unreachable';
  }
  return 'other';
}

/** Redis 6 says what a script may not do without the word. */
const FORBIDDEN_TO_SCRIPT = /can't run this command|ACL failure in script/;
/** Of an error within a script: `ERR Error running script (…): @user_script:5: -OOM command not allowed…`. */
const WITHIN_SCRIPT = /^ERR Error running script.* -([A-Z]+) /s;
/** The command was renamed, or a proxy does not know it. */
const UNKNOWN_COMMAND = /^ERR (?:unknown|unsupported) /i;

function wordOf(message: string): RedisWord | 'other' {
  if (FORBIDDEN_TO_SCRIPT.test(message)) return 'NOPERM';
  const word = WITHIN_SCRIPT.exec(message)?.[1] ?? message.split(' ', 1)[0] ?? '';
  return Object.hasOwn(WORDS, word) ? (word as RedisWord) : 'other';
}

/** True when the server has this command for others, or for nobody. */
export function isForbidden(error: unknown): boolean {
  return faultOf(error) === 'NOPERM' || (error instanceof ErrorReply && UNKNOWN_COMMAND.test(error.message));
}

/** True when somebody else's value is under a key. */
export function isWrongType(error: unknown): boolean {
  return error instanceof ErrorReply && error.message.startsWith('WRONGTYPE');
}
