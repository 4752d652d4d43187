import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/sdks/**'],
    testTimeout: 30_000,
    reporters: ['default'],
  },
});
