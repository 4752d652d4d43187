import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/sdks/**'],
    testTimeout: 15_000,
    reporters: ['default'],
  },
});
