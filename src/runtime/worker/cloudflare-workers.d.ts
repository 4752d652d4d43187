/** The part of Cloudflare's module that is used here: https://developers.cloudflare.com/workers/runtime-apis/context/ */
declare module 'cloudflare:workers' {
  /** Keeps the request that is being handled alive until the promise settles. */
  export function waitUntil(promise: Promise<unknown>): void;
  /** The bindings. Outside a request they may be read, not used. */
  export const env: Readonly<Record<string, unknown>>;
  /** A class whose public methods other Workers may call: https://developers.cloudflare.com/workers/runtime-apis/rpc/ */
  export class WorkerEntrypoint {
    protected readonly env: Readonly<Record<string, unknown>>;
  }
}
