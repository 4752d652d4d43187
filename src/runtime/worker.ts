import { createIsolate } from './worker/isolate.ts';

const isolate = createIsolate();

export default { fetch: isolate.fetch };
