import { readRetryAfterMs } from './read-problem.ts';
import { wait } from './wait.ts';

/** Delay before a retry after a failure of the network: 200 ms. */
const NETWORK_RETRY_MS = 200;
/** Retries after failures of the network: 1. */
const MAX_NETWORK_RETRIES = 1;

export interface RetryOptions {
  readonly maxRetries: number;
  readonly maxRetryDelayMs: number;
  /** Whether the next attempt may have another token. */
  readonly canRenewToken: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * The response of the last attempt. An attempt is repeated once after a failure of the network, once after 401 where
 * the token can be renewed, and after 429 and 503 when the time that Retry-After says is not too long.
 */
export async function withRetries(
  attempt: () => Promise<Response>,
  { maxRetries, maxRetryDelayMs, canRenewToken, signal }: RetryOptions,
): Promise<Response> {
  let networkRetries = 0;
  let tokenRetries = 0;
  for (let retries = 0; ; retries += 1) {
    let response: Response;
    try {
      response = await attempt();
    } catch (error) {
      const mayRetry = error instanceof TypeError && networkRetries < MAX_NETWORK_RETRIES;
      if (!mayRetry || retries >= maxRetries || signal?.aborted) throw error;
      networkRetries += 1;
      await wait(NETWORK_RETRY_MS, signal);
      continue;
    }
    if (response.status === 401 && canRenewToken && tokenRetries === 0 && maxRetries > 0) {
      tokenRetries += 1;
      continue;
    }
    const retryAfterMs = readRetryAfterMs(response);
    const isWorthWhile = response.status === 429 || response.status === 503;
    if (!isWorthWhile || retryAfterMs === undefined) return response;
    if (retries >= maxRetries || retryAfterMs > maxRetryDelayMs) return response;
    await wait(retryAfterMs, signal);
  }
}
