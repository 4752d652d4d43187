import { WorkerEntrypoint } from 'cloudflare:workers';
import type { ListOrProblem } from '../imagecaches/list-without-token.ts';
import { createIsolate } from './worker/isolate.ts';

const isolate = createIsolate();

export default { fetch: isolate.fetch };

/** For other Workers of the account, by a service binding; see docs/workers.md. Its public methods are what they may call. */
export class ImageCaches extends WorkerEntrypoint {
  /** @param name the filter; undefined for the whole list */
  list(name?: string): Promise<ListOrProblem> {
    return isolate.list(name, this.env);
  }
}
