import { nameKey } from '../../fleet/key-name.ts';
import type { KeyKnowledge, KeyProofs, KeyVerdict } from '../../fleet/key-proofs.ts';
import {
  announceCall,
  judgeCall,
  type KeyCall,
  type KeyChange,
  type KeyFields,
  noteAccepted,
  noteRejected,
  outdatedFields,
} from '../../fleet/key-state.ts';
import type { Platform } from '../../platform/platform.ts';
import { encodeUtf8 } from '../../signing/sha256.ts';
import { wait } from '../../upstream/wait.ts';
import { type EdgeStores, withinEdge } from './edge-entries.ts';

/** What is known of a key is kept for 1 day after it was written. */
const KEEP_SECONDS = 86_400;
/** Time from writing an announcement to reading it again; another isolate takes less from reading to writing: 50 ms. */
const SETTLE_MS = 50;
/** A change that others have overwritten is written up to 3 times. */
const MAX_TRIES = 3;
/** The mark of a key that was accepted here is read once a second at most. */
const LOOK_AGAIN_MS = 1000;

/**
 * What isolates know of keys together, as one mark for each access key id: in the Cache API for those of one place, and
 * after rejections in KV for places that have no mark. Keys are named by digests, and nothing else of them is written.
 *
 * Neither store compares and writes in one step. An isolate announces the call that is to prove a key, waits until all who
 * have read before that have written as well, and goes on if its announcement is still there. A key that was accepted
 * here is used without one; what is known of its rejections is read now and then.
 */
export function createEdgeKeyProofs(
  stores: EdgeStores,
  deps: Pick<Platform, 'now' | 'elapsed' | 'schedule' | 'random' | 'waitUntil'>,
): KeyProofs {
  const { now, elapsed, schedule } = deps;
  const { kv } = stores;
  const { readNear, readFar, writeNear, change } = createMarks(stores, deps);
  /** No call of this isolate was rejected since one was accepted. */
  let isProven = false;
  let lookedAtMs = Number.NEGATIVE_INFINITY;

  /** @returns what the stores say of the key, where the call may be made; undefined: they say nothing */
  async function ask(
    name: string,
    call: KeyCall,
    known: KeyKnowledge,
    leaseMs: number,
    isTrusted: boolean,
  ): Promise<KeyFields | 'busy' | 'locked_out' | undefined> {
    const fields = await withinEdge(schedule, async () => {
      const near = await readNear(name).catch(() => undefined);
      return isTrusted ? near : (near ?? (await readFar(name)) ?? {});
    });
    const judged = judgeCall(fields ?? {}, call, known);
    if (judged !== 'ours') return judged;
    if (fields === undefined || isTrusted || `accepted:${call.digest}` in fields) return fields;
    await withinEdge(schedule, () => writeNear(name, { ...fields, ...announceCall(call, leaseMs) }));
    await wait(SETTLE_MS, schedule);
    const settled = await withinEdge(schedule, () => readNear(name));
    // This place keeps nothing.
    if (settled === undefined) return fields;
    if (!(ownField(call) in settled)) return 'busy';
    const judgedAgain = judgeCall(settled, call, known);
    if (judgedAgain === 'ours') return settled;
    void note(name, call, settled, known, 'neutral');
    return judgedAgain;
  }

  /** Writes what came of a call. Never rejects. */
  function note(
    name: string,
    call: KeyCall,
    fields: KeyFields,
    known: KeyKnowledge,
    verdict: KeyVerdict,
  ): Promise<unknown> {
    const work = write(name, call, fields, known, verdict).catch(() => {});
    deps.waitUntil(work);
    return withinEdge(schedule, () => work);
  }

  async function write(
    name: string,
    call: KeyCall,
    fields: KeyFields,
    known: KeyKnowledge,
    verdict: KeyVerdict,
  ): Promise<void> {
    let news: KeyChange = { set: {}, remove: [ownField(call)] };
    if (isRejection(verdict)) news = noteRejected(fields, call, known.isAccepted, now(), deps.random());
    if (verdict === 'accepted') news = noteAccepted(fields, call);
    if (Object.keys(news.set).length === 0 && !(ownField(call) in fields)) return;
    const there = await change(name, news).catch(() => news.set);
    if (isRejection(verdict))
      await kv?.put(name, encodeUtf8(JSON.stringify(there)), { expirationTtl: KEEP_SECONDS, metadata: {} });
    else if (`lock:${call.digest}` in fields) await kv?.delete(name);
  }

  return {
    async enter(credential, known, leaseMs) {
      const isTrusted = known.isAccepted && isProven;
      const isAsked = !isTrusted || elapsed() - lookedAtMs >= LOOK_AGAIN_MS;
      const begunAtMs = now();
      const announce = async () => {
        const { name, digest } = await nameKey(credential);
        return [name, { token: crypto.randomUUID(), digest, begunAtMs }] as const;
      };
      const asked = isAsked ? await announce() : undefined;
      const fields = asked && (await ask(...asked, known, leaseMs, isTrusted));
      if (typeof fields === 'string') return fields;
      if (isAsked) lookedAtMs = elapsed();
      return {
        async leave(verdict) {
          if (verdict !== 'neutral') isProven = verdict === 'accepted';
          if (fields !== undefined || isRejection(verdict))
            await note(...(asked ?? (await announce())), fields ?? {}, known, verdict);
        },
      };
    },
  };
}

/** The marks of access keys in both stores. */
function createMarks(
  { openCache, origin, kv }: EdgeStores,
  { now, schedule }: Pick<Platform, 'now' | 'schedule'>,
) {
  const urlOf = (name: string) => `${origin()}/${name}`;

  async function readNear(name: string): Promise<KeyFields | undefined> {
    return fieldsIn(await (await openCache())?.match(urlOf(name)));
  }

  async function readFar(name: string): Promise<KeyFields | undefined> {
    const found = await kv?.getWithMetadata(name, 'arrayBuffer');
    return fieldsIn(found?.value ? new Response(found.value) : undefined);
  }

  async function writeNear(name: string, fields: KeyFields): Promise<void> {
    const headers = { 'cache-control': `max-age=${KEEP_SECONDS}` };
    await (await openCache())?.put(urlOf(name), Response.json(fields, { headers }));
  }

  /** @returns what is there then, as far as one can see */
  async function change(name: string, { set, remove }: KeyChange): Promise<KeyFields> {
    for (let tries = 1; ; tries += 1) {
      const fields: Record<string, string> = { ...(await readNear(name)) };
      if (tries > 1 && Object.keys(set).every((field) => field in fields)) return fields;
      for (const field of [...remove, ...outdatedFields(fields, now())]) delete fields[field];
      Object.assign(fields, set);
      await writeNear(name, fields);
      if (tries === MAX_TRIES) return fields;
      await wait(SETTLE_MS, schedule);
    }
  }

  return { readNear, readFar, writeNear, change };
}

/** What is no text is of no use. */
async function fieldsIn(stored: Response | undefined): Promise<KeyFields | undefined> {
  const entries = stored && Object.entries((await stored.json()) as object);
  return (
    entries &&
    Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
  );
}

const ownField = ({ token }: KeyCall): string => `call:${token}`;
const isRejection = (verdict: KeyVerdict): boolean => verdict === 'rejected' || verdict === 'clock';
