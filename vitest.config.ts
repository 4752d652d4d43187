import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/sdks/**', 'test/deploy-tools/**'],
    setupFiles: ['test/support/fast-check-setup.ts'],
    testTimeout: 15_000,
    // Many tests wait for processes of their own: with one worker on two cores half of the machine would be idle.
    maxWorkers: 2,
    reporters: ['default'],
  },
});
