import type * as ofNode from '../../config/groups/of-node.ts';

/** In place of settings that need Node: a Worker has neither sockets nor proxies to choose, and looks at none of them. */
export const networkGroup = {
  rows: {},
  toConfig: () => ({ network: { httpsProxy: undefined, httpProxy: undefined, noProxy: [] } }),
} as unknown as typeof ofNode.networkGroup;

/** In place of TLS, which the platform ends. */
export const tlsGroup = {
  rows: {},
  toConfig: () => ({ tls: undefined }),
} as unknown as typeof ofNode.tlsGroup;

/** A Worker has no home folder, and no files. */
export const profileSource = {
  rows: {},
  signs: [],
  toConfig: () => ({ source: 'profile' }),
} as unknown as typeof ofNode.profileSource;
