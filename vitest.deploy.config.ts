import { defineConfig } from 'vitest/config';

/** `npm run test:deploy`: the chart, with helm and kubeconform built from their Go modules. */
export default defineConfig({
  test: {
    include: ['test/deploy-tools/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 900_000,
    // They build the same tools in the same folder.
    fileParallelism: false,
  },
});
