/**
 * The pages that need files. package.json maps `#pages-of-node` to this file, and in a Worker's bundle to
 * src/runtime/worker/no-pages-of-node.ts.
 */
export { consolePage } from './console/page.ts';
