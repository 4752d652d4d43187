import { defineConfig } from 'vitest/config';

/** `npm run test:deploy`: charts, image, proxies and traces; helm, kubeconform and a collector are built from their Go modules. */
export default defineConfig({
  test: {
    include: ['test/deploy-tools/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 900_000,
    // They build the same tools in the same folder.
    fileParallelism: false,
  },
});
