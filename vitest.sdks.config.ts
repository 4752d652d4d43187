import { defineConfig } from 'vitest/config';

/** `npm run test:sdks`: the vendor's SDKs as clients. Needs Python, Go, Java with Maven, and their registries. */
export default defineConfig({
  test: {
    include: ['test/sdks/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 600_000,
    reporters: ['default'],
  },
});
