import { expectTypeOf, it } from 'vitest';
import type { ImageCache as ClientImageCache } from '../../src/client/index.ts';
import type { ImageCache } from '../../src/imagecaches/model.ts';

/** The client stands alone, so it has a copy of the type. `npm run typecheck` fails until the copy is exact. */
it("the client's image cache is the service's, member by member", () => {
  expectTypeOf<ClientImageCache>().toEqualTypeOf<ImageCache>();
});
