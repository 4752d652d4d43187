import { defineConfig } from 'vitest/config';

/** `npm run test:deploy`: the chart, with helm and kubeconform built from their Go modules. */
export default defineConfig({
  test: {
    include: ['test/deploy-tools/**/*.test.ts'],
    testTimeout: 60_000,
  },
});
