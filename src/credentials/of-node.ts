/**
 * The parts of sources that need files or an address inside a network. package.json maps `#credentials-of-node` to this
 * file, and in a Worker's bundle to src/runtime/worker/no-credentials-of-node.ts, since a Worker has neither.
 */
export { createFileProvider } from './file-provider.ts';
export { metadataService } from './metadata-service.ts';
export { podIdentity } from './pod-identity.ts';
export { profileSource } from './profile.ts';
