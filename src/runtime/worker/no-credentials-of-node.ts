import type * as ofNode from '../../credentials/of-node.ts';

function create(): never {
  throw new TypeError('this source of credentials is not for Workers');
}

const none = { name: 'none', remedy: '', create };

/** In place of sources that need Node, which the Worker's entry refuses by their settings. */
export const metadataService: typeof ofNode.metadataService = none;
export const podIdentity: typeof ofNode.podIdentity = none;
export const profileSource: typeof ofNode.profileSource = none;
