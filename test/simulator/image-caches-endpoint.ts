import { type Answer, cceError, gatewayError, jsonAnswer } from './answers.ts';
import type { VendorImageCache } from './image-cache-data.ts';

export const IMAGE_CACHES_PATH = '/v5/imagecaches';

const NAME_GRAMMAR = /^[a-z]([a-z0-9-]{0,126}[a-z0-9])?$/;

export interface Project {
  id: string;
  name: string;
}

/** `GET /v5/imagecaches[?name=]`, after the gateway let the request pass. */
export function answerImageCaches(options: {
  query: URLSearchParams;
  projectId: string | undefined;
  projects: readonly Project[];
  imageCaches: readonly unknown[];
  requestId: string;
}): Answer {
  const { query, projectId, projects, imageCaches, requestId } = options;
  if (projectId !== undefined && projects.length > 0 && !projects.some(({ id }) => id === projectId)) {
    return gatewayError(403, 'APIGW.0302', `The project ${projectId} is not allowed to access`, requestId);
  }
  const name = query.get('name');
  if (name === null) return jsonAnswer(200, { image_caches: imageCaches });
  if (!NAME_GRAMMAR.test(name)) {
    return cceError(
      400,
      'CCE.01400001',
      `Invalid request: imagecache name "${name}" does not match the rule`,
    );
  }
  const matching = imageCaches.filter((entry) => (entry as Partial<VendorImageCache> | null)?.name === name);
  return jsonAnswer(200, { image_caches: matching });
}
