import type { Schedule } from '../platform/schedule.ts';
import { OutboundError } from './outbound-error.ts';

/**
 * Runs work within a time. The timer is cleared whatever happens, and the time holds even where the work does
 * not heed the signal.
 *
 * @param timeoutMs for the whole of it
 * @param onTimeout makes what it rejects with when the time is over. Default: OutboundError `timeout`
 */
export async function runWithin<Value>(
  timeoutMs: number,
  schedule: Schedule,
  work: (signal: AbortSignal) => Promise<Value>,
  onTimeout: () => Error = () => new OutboundError('timeout'),
): Promise<Value> {
  const abort = new AbortController();
  let cancel = () => {};
  const timeout = new Promise<never>((_resolve, reject) => {
    cancel = schedule(() => {
      reject(onTimeout());
      abort.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(abort.signal), timeout]);
  } finally {
    cancel();
  }
}
