import type { TestService } from '../../support/test-service.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** `without scope`: a caller asks for a refresh who may not have one. */
export type Refresh = 'no' | 'forced' | 'without scope';

export interface Callers {
  /** Asks for a list. For a recognised caller nothing is awaited from here to the cache. */
  ask(key: string, refresh: Refresh): Promise<Response>;
  /** Has the caller's token verified, where that was too long ago. */
  recognise(refresh: Refresh): Promise<void>;
}

const YEAR_SECONDS = 366 * 86_400;
/** How long a verified token is remembered. */
const VERIFIED_MS = 60_000;

let tokens: Promise<Readonly<Record<Refresh, string>>> | undefined;

/** Two tokens for all runs: signing takes longer than most of them. */
async function signTokens(service: TestService): Promise<Readonly<Record<Refresh, string>>> {
  const exp = Math.floor(service.clock.now() / 1000) + YEAR_SECONDS;
  const reader = await service.token({ exp });
  const forced = await service.token({ exp, scope: 'imagecaches:read imagecaches:refresh' });
  return { no: reader, 'without scope': reader, forced };
}

export async function createCallers(service: TestService, now: () => number): Promise<Callers> {
  tokens ??= signTokens(service);
  const tokenOf = await tokens;
  const verifiedAtMs = new Map<string, number>();

  async function request(query: string, refresh: Refresh): Promise<Response> {
    const headers = {
      authorization: `Bearer ${tokenOf[refresh]}`,
      ...(refresh !== 'no' && { 'cache-control': 'no-cache' }),
    };
    return service.app.request(`/imagecaches${query}`, { headers });
  }

  return {
    ask: (key, refresh) => request(key === UNFILTERED_KEY ? '' : `?name=${key}`, refresh),
    async recognise(refresh) {
      const token = tokenOf[refresh];
      if (now() - (verifiedAtMs.get(token) ?? Number.NEGATIVE_INFINITY) < VERIFIED_MS) return;
      // Refused for its query, which is looked at next.
      const { status } = await request('?name=', refresh);
      if (status !== 400) throw new Error(`the token is not recognised: ${status}`);
      verifiedAtMs.set(token, now());
    },
  };
}
