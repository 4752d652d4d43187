import { createTestService, vendorEntry, vendorList } from '../support/test-service.ts';
import { median, type Row, round, type Section } from './report.ts';

const UPSTREAM_MS = 50;

interface Case {
  readonly what: string;
  readonly callers: number;
  /** Different names that they ask for; undefined: all ask for the list. */
  readonly keys?: number;
  /** The token is one that was not seen before. */
  readonly hasNewToken?: boolean;
  /** The list is held already: nobody misses. */
  readonly isHeld?: boolean;
}

const CASES: readonly Case[] = [
  { what: '1 caller of one key', callers: 1 },
  { what: '100 callers of one key', callers: 100 },
  { what: '1,000 callers of one key', callers: 1000 },
  { what: '10,000 callers of one key', callers: 10_000 },
  { what: '10,000 callers of 10,000 keys', callers: 10_000, keys: 10_000 },
  { what: '10,000 callers of one key, with one new token', callers: 10_000, hasNewToken: true },
  { what: '10,000 callers of one key that is held: no miss', callers: 10_000, isHeld: true },
];

interface Outcome {
  readonly upstreamCalls: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

/** Callers who all miss at once, in this process: calls to upstream, and how long they wait. */
export async function measureGrowthCallers({ quick }: { readonly quick: boolean }): Promise<Section> {
  const rounds = quick ? 1 : 5;
  // Warms up.
  await missAtOnce({ what: '', callers: 1000 });
  const rows: Row[] = [];
  for (const each of CASES) {
    const outcomes: Outcome[] = [];
    for (let count = 0; count < rounds; count += 1) outcomes.push(await missAtOnce(each));
    rows.push({
      'at once': each.what,
      'upstream calls': Math.max(...outcomes.map(({ upstreamCalls }) => upstreamCalls)),
      answers: 'all 200',
      'median wait, ms': round(median(outcomes.map(({ medianMs }) => medianMs))),
      'longest wait, ms': round(median(outcomes.map(({ longestMs }) => longestMs))),
    });
  }
  return {
    title: 'Cold callers at once',
    rows,
    notes: [
      `The app in this process, over an upstream that takes ${UPSTREAM_MS} ms; HTTP is not in it. Waits begin when the first caller`,
      'comes, so they hold the time in which one thread takes in all the others.',
      `Of ${rounds} ${rounds === 1 ? 'run' : 'runs'}: the most calls, and the medians of the waits. The token was verified before, but where`,
      'it is new: there its signature is checked once for all who bring it.',
      'The last row is what the same callers wait for without a miss: the time of one thread.',
      '10,000 keys: sixteen are loaded one by one, not more than two at once, then the whole list, which answers the others.',
    ],
  };
}

async function missAtOnce({ callers, keys, hasNewToken = false, isHeld = false }: Case): Promise<Outcome> {
  const names = Array.from({ length: keys ?? 1 }, (_, index) => `name-${index}`);
  const everything = names.map((name) => vendorEntry(name));
  const service = await createTestService(
    { RATE_LIMIT_PER_MINUTE: '0' },
    {
      now: Date.now,
      elapsed: () => performance.now(),
      schedule: (callback, delayMs) => {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    },
  );
  // The one call of the start fails, so that nothing is held.
  service.upstream = () => new Response('', { status: 302 });
  await service.app.warm();
  service.upstream = async ({ url }) => {
    await new Promise((resolve) => setTimeout(resolve, UPSTREAM_MS));
    const name = url.searchParams.get('name');
    return vendorList(...(name === null ? everything : [vendorEntry(name)]));
  };
  const authorization = `Bearer ${await service.token({ exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  const ask = (query: string, status: number) =>
    expectStatus(service.app.request(`/imagecaches${query}`, { headers: { authorization } }), status);
  // Authenticated, then refused: the token is known after that, and nothing is loaded.
  if (!hasNewToken) await ask('?name=', 400);
  if (isHeld) await ask('', 200);
  const callsBefore = service.calls.length;

  const begunMs = performance.now();
  const waits = await Promise.all(
    Array.from({ length: callers }, async (_, index) => {
      const name = names[keys === undefined ? 0 : index % keys] as string;
      const body = await ask(keys === undefined ? '' : `?name=${name}`, 200);
      const waitMs = performance.now() - begunMs;
      if (!body.includes(`"name":"${name}"`)) throw new Error(`the answer lacks ${name}`);
      return waitMs;
    }),
  );
  return {
    upstreamCalls: service.calls.length - callsBefore,
    medianMs: median(waits),
    longestMs: Math.max(...waits),
  };
}

function ignore(): void {}

async function expectStatus(answer: Response | Promise<Response>, expected: number): Promise<string> {
  const response = await answer;
  const text = await response.text();
  if (response.status !== expected) throw new Error(`${response.status} instead of ${expected}: ${text}`);
  return text;
}
