/**
 * The sources that need an address inside a network. package.json maps `#credentials-of-node` to this
 * file, and in a Worker's bundle to src/runtime/worker/no-credentials-of-node.ts, since a Worker is in none.
 */
export { metadataService } from './metadata-service.ts';
export { podIdentity } from './pod-identity.ts';
export { profileSource } from './profile.ts';
