/**
 * The groups of settings that have no meaning without Node. package.json maps `#settings-of-node` to this file, and in a
 * Worker's bundle to src/runtime/worker/no-settings-of-node.ts.
 */
export { profileSource } from './credentials/profile-source.ts';
export { networkGroup } from './network.ts';
export { tlsGroup } from './tls.ts';
