import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/sdks/**', 'test/deploy-tools/**'],
    testTimeout: 15_000,
    reporters: ['default'],
  },
});
