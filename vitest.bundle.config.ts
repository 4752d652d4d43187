import { defineConfig } from 'vitest/config';

/** The second half of `npm run test:workers`: the Worker as it is deployed, bundled, in processes of workerd. */
export default defineConfig({
  test: {
    name: 'bundle',
    include: ['test/runtime/worker/**/*.test.ts'],
    setupFiles: ['test/support/fast-check-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 50_000 } },
    maxWorkers: 3,
  },
});
