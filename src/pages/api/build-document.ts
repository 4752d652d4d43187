import packageJson from '../../../package.json' with { type: 'json' };
import { COMPONENTS } from './document/components.ts';
import type { Json } from './document/json.ts';
import { PATHS } from './document/paths.ts';

/**
 * The API document, OpenAPI 3.1, made from the schemas that the service validates with. It is written into the
 * repository and served as it is, so nothing of this file and of document/ is part of the running service: it would
 * cost the Worker a library.
 */
export function buildDocument(): Json {
  return {
    openapi: '3.1.1',
    info: {
      title: 'imagecaches-bff',
      version: packageJson.version,
      summary: 'The image caches of Huawei Cloud CCE, for your own callers.',
      description:
        'Every error is `application/problem+json` (RFC 9457) with a stable `code`; on `/v5` and `/v3` it has the shape that the vendor’s SDKs expect. Any other method on a path is answered 405, any other path 404.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'image caches', description: 'The sanitised list.' },
      { name: 'probes', description: 'For balancers and orchestrators.' },
    ],
    paths: PATHS,
    components: COMPONENTS,
  };
}

/** The document as it lies in the repository. */
export function documentText(): string {
  return `${JSON.stringify(buildDocument(), null, 2)}\n`;
}
