import packageJson from '../../../../package.json' with { type: 'json' };
import { IMAGE_CACHE_EXAMPLE } from '../../../imagecaches/schema.ts';
import { headers } from './headers.ts';
import { type Json, ref } from './json.ts';
import { LIST_CODES, LIST_HEADERS, listOperation } from './list-operation.ts';
import { problemResponses } from './problem-responses.ts';
import { content } from './schemas.ts';

const BEARER: Json = { token: [] };
/** What callers of the vendor's API may send. */
const AS_VENDOR: readonly Json[] = [BEARER, { authToken: [] }, { signature: [] }];

/** The id of what is made up for the tools of the vendor. */
const MADE_UP_ID = '0123456789abcdef0123456789abcdef';

interface LookUp {
  readonly operationId: string;
  readonly summary: string;
  /** The name of its parameter. */
  readonly parameter: string;
  readonly description: string;
  /** The name of the schema of the answer. */
  readonly schema: 'Projects' | 'Domains';
  readonly example: Json;
}

/** What the tools of the vendor look up before their first call. */
function lookUpOperation({ operationId, summary, parameter, description, schema, example }: LookUp): Json {
  return {
    operationId,
    tags: ['image caches'],
    summary,
    security: AS_VENDOR,
    parameters: [ref('parameters', parameter)],
    responses: {
      200: {
        description: `${description} Its id means nothing in the cloud.`,
        headers: headers('X-Request-Id'),
        content: content('application/json', schema, { ...example, links: {} }),
      },
      ...problemResponses(
        ['invalid_query', 'unauthenticated', 'forbidden', 'rate_limited', 'internal', 'keys_unavailable'],
        'vendor',
      ),
    },
  };
}

const PROJECTS_OPERATION = lookUpOperation({
  operationId: 'listProjects',
  summary: 'One made-up project, which SDKs ask for first',
  parameter: 'Region',
  description: 'The project of the region.',
  schema: 'Projects',
  example: {
    projects: [{ id: MADE_UP_ID, name: 'cn-north-4', enabled: true, is_domain: false, description: '' }],
  },
});

const DOMAINS_OPERATION = lookUpOperation({
  operationId: 'listDomains',
  summary: 'One made-up domain, which SDKs with global credentials ask for first',
  parameter: 'Domain',
  description: 'The domain of the account.',
  schema: 'Domains',
  example: { domains: [{ id: MADE_UP_ID, name: 'imagecaches-bff', enabled: true, description: '' }] },
});

const SHOW_OPERATION: Json = {
  operationId: 'showImageCacheAsVendor',
  tags: ['image caches'],
  summary: "One image cache by its id, for the vendor's SDKs",
  description: 'Answered from the whole list, which is loaded, held and refreshed as for `/v5/imagecaches`.',
  security: AS_VENDOR,
  parameters: [ref('parameters', 'Id'), ref('parameters', 'IfNoneMatch')],
  responses: {
    200: {
      description: 'The image cache.',
      headers: LIST_HEADERS,
      content: content('application/json', 'OneImageCache', { image_cache: IMAGE_CACHE_EXAMPLE }),
    },
    304: { description: 'Nothing has changed since the answer with this ETag.', headers: LIST_HEADERS },
    ...problemResponses([...LIST_CODES, 'not_found'], 'vendor'),
  },
};

/** The same answers without their bodies. */
function headOf(operation: Json): Json {
  const responses = Object.fromEntries(
    Object.entries(operation.responses as Record<string, Json>).map(([status, response]) => {
      const { content: _content, ...rest } = response;
      return [status, rest];
    }),
  );
  return {
    ...operation,
    operationId: `head${(operation.operationId as string).replace(/^./, (letter) => letter.toUpperCase())}`,
    summary: `${(operation.summary as string).replace(/\?$/, '')}: headers only`,
    responses,
  };
}

function withHead(operation: Json): Json {
  return { get: operation, head: headOf(operation) };
}

function probe(operationId: string, summary: string, responses: Json): Json {
  return withHead({ operationId, tags: ['probes'], summary, security: [], responses });
}

export const PATHS: Json = {
  '/imagecaches': withHead(listOperation('listImageCaches', 'problem', [BEARER])),
  '/v5/imagecaches': withHead(listOperation('listImageCachesAsVendor', 'vendor', AS_VENDOR)),
  '/v5/imagecaches/{id}': withHead(SHOW_OPERATION),
  '/v3/projects': withHead(PROJECTS_OPERATION),
  '/v3/auth/domains': withHead(DOMAINS_OPERATION),
  '/.well-known/oauth-protected-resource': withHead({
    operationId: 'protectedResource',
    tags: ['image caches'],
    summary: 'Whose tokens are accepted (RFC 9728)',
    security: [],
    responses: {
      200: {
        description: 'The issuers and scopes.',
        headers: headers('X-Request-Id'),
        content: content('application/json', 'ProtectedResource', {
          resource: 'https://imagecaches.example.com',
          resource_name: 'imagecaches-bff',
          authorization_servers: ['https://login.example.com'],
          scopes_supported: ['imagecaches:read', 'imagecaches:refresh'],
          bearer_methods_supported: ['header'],
        }),
      },
    },
  }),
  '/livez': probe('livez', 'Can the process serve?', {
    200: {
      description: 'It can.',
      headers: headers('X-Request-Id'),
      content: content('application/json', 'Live', { status: 'ok', version: packageJson.version }),
    },
  }),
  '/readyz': probe('readyz', 'May it take traffic?', {
    200: {
      description: 'It may.',
      headers: headers('X-Request-Id'),
      content: content('application/json', 'Ready', { status: 'ready' }),
    },
    503: {
      description: 'Not now: it is starting or draining, or has no keys or no credential.',
      headers: headers('X-Request-Id'),
      content: content('application/json', 'Unready', { status: 'unready', failing: ['keys'] }),
    },
    ...problemResponses(['internal'], 'problem'),
  }),
};
