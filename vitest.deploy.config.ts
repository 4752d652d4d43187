import { defineConfig } from 'vitest/config';

/** `npm run test:deploy`: charts, image, proxies and traces; helm, kubeconform and a collector are built from their Go modules. */
export default defineConfig({
  test: {
    include: ['test/deploy-tools/**/*.test.ts'],
    // They end what hangs, on a machine that is busy with other things too, which builds much in the hooks; no test is about them.
    testTimeout: 600_000,
    hookTimeout: 3_600_000,
    // They build the same tools in the same folder.
    fileParallelism: false,
  },
});
