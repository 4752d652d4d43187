import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/sdks/**', 'test/deploy-tools/**', 'test/runtime/worker/**'],
    setupFiles: ['test/support/fast-check-setup.ts'],
    // They end what hangs, on a machine that is busy with other things too; no test is about them.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 50_000 } },
    // Many tests wait for processes of their own: with fewer workers two cores would be idle for a part of the time.
    maxWorkers: 4,
    reporters: ['default'],
  },
});
