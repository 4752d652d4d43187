import { defineConfig } from 'vitest/config';

/** `npm run test:sdks`: the vendor's SDKs as clients. Needs Python, Go, Java with Maven, and their registries. */
export default defineConfig({
  test: {
    include: ['test/sdks/**/*.test.ts'],
    // They end what hangs, on a machine that is busy with other things too, which builds much in the hooks; no test is about them.
    testTimeout: 600_000,
    hookTimeout: 3_600_000,
    reporters: ['default'],
  },
});
