import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { DIFFERENCES, FILES_OF_PARTS, NODE_ONLY_FILES } from './test/runtime/worker/differences.ts';

/** `npm run test:workers`: the tests of the core once more, inside workerd. */
export default defineConfig({
  plugins: [
    cloudflareTest({
      main: './src/runtime/worker.ts',
      miniflare: {
        compatibilityDate: '2026-11-01',
        // For the tests, which use Node's crypto and Buffer; the Worker is deployed without it.
        compatibilityFlags: ['nodejs_compat'],
        kvNamespaces: ['IMAGECACHES_KV'],
      },
    }),
  ],
  test: {
    name: 'workerd',
    setupFiles: ['test/support/fast-check-setup.ts'],
    include: [
      'test/{auth,cache,client,http,imagecaches,limits,observability,openapi,outbound,query,routes,signing,upstream}/**/*.test.ts',
      'test/{describe-error,redis-url,shared-namespace}.test.ts',
      ...FILES_OF_PARTS,
      // That properties reach the size they state here, too.
      'test/support/fast-check-setup.test.ts',
      // What only workerd has.
      'test/runtime/worker/*.workers-test.ts',
    ],
    exclude: NODE_ONLY_FILES.map(({ file }) => file),
    testNamePattern: new RegExp(`^(?!.*(?:${DIFFERENCES.map(({ tests }) => tests.source).join('|')}))`),
    testTimeout: 60_000,
  },
});
