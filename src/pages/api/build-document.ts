import * as z from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import { PROBLEM_KINDS, type ProblemCode } from '../../http/problem.ts';
import { IMAGE_CACHE_NAME } from '../../imagecaches/query.ts';
import { IMAGE_CACHE_EXAMPLE, ImageCacheListSchema, ImageCacheSchema } from '../../imagecaches/schema.ts';
import { REGION_NAME } from '../projects-query.ts';

type Json = Record<string, unknown>;

const REQUEST_ID = '5e1c3b0a-7d2f-4c6e-9a18-2b3c4d5e6f70-00002a';

const ProblemSchema = z.strictObject({
  type: z
    .string()
    .regex(/^urn:imagecaches-bff:problem:[a-z_]+$/)
    .describe('The code, as a URN.'),
  title: z.string().describe('The same for every occurrence of the code.'),
  status: z.int().min(400).max(599),
  detail: z.string().optional().describe('What was wrong with this request. Never upstream text.'),
  instance: z.string().describe('The request id, which the operator finds in the log.'),
  code: z.enum(Object.keys(PROBLEM_KINDS)).describe('Stable; programs decide by it.'),
});

const VendorErrorSchema = z.strictObject({
  error_code: z.string(),
  error_msg: z.string(),
  request_id: z.string(),
});

const ProjectsSchema = z.strictObject({
  projects: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[0-9a-f]{32}$/),
        name: z.string(),
        enabled: z.literal(true),
        is_domain: z.literal(false),
        description: z.literal(''),
      }),
    )
    .length(1),
  links: z.strictObject({}),
});

const LiveSchema = z.strictObject({
  status: z.literal('ok'),
  version: z.string().describe('Of the service: a semantic version.'),
});
const ReadySchema = z.strictObject({ status: z.literal('ready') });
const UnreadySchema = z.strictObject({
  status: z.literal('unready'),
  failing: z.array(z.enum(['lifecycle', 'keys', 'credentials'])).min(1),
});

/** As OpenAPI 3.1 has it: JSON Schema of draft 2020-12, without a mark of its own. */
function schemaOf(schema: z.core.$ZodType): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'output' }) as Json;
  return rest;
}

const ref = (kind: string, name: string): Json => ({ $ref: `#/components/${kind}/${name}` });
const content = (type: string, name: string, example: unknown): Json => ({
  [type]: { schema: ref('schemas', name), example },
});

const HEADERS: Readonly<Record<string, Json>> = {
  ETag: {
    description: 'Strong. Send it as If-None-Match to be answered 304 while nothing has changed.',
    schema: { type: 'string', pattern: '^"[0-9a-f]{32}(-br|-gzip)?"$' },
    example: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"',
  },
  Age: {
    description: 'Seconds since the list was loaded from the cloud.',
    schema: { type: 'string', pattern: '^\\d+$' },
    example: '12',
  },
  'Cache-Control': {
    description: 'private, with the seconds that the list stays fresh.',
    schema: { type: 'string' },
    example: 'private, max-age=18',
  },
  'Cache-Status': {
    description: 'How the list came about (RFC 9211).',
    schema: { type: 'string', pattern: '^imagecaches; ' },
    example: 'imagecaches; hit; ttl=18',
  },
  'X-Request-Id': {
    description: 'The id of the request: yours, if you sent a sane one.',
    schema: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,128}$' },
    example: REQUEST_ID,
  },
  'Retry-After': {
    description: 'Seconds after which it is worth while to try again.',
    schema: { type: 'string', pattern: '^[1-9]\\d*$' },
    example: '5',
  },
  'WWW-Authenticate': {
    description: 'What is missing (RFC 6750).',
    schema: { type: 'string', pattern: '^Bearer' },
    example: 'Bearer error="invalid_token"',
  },
  RateLimit: {
    description: 'What is left of the limit, and when more is.',
    schema: { type: 'string' },
    example: '"principal";r=0;t=5',
  },
  'RateLimit-Policy': {
    description: 'The limit: so many in a window of seconds.',
    schema: { type: 'string' },
    example: '"principal";q=600;w=60',
  },
};

const headers = (...names: string[]): Json =>
  Object.fromEntries(names.map((name) => [name, ref('headers', name.replaceAll('-', ''))]));

/** Codes that a route can answer with, by status. */
const LIST_CODES: readonly ProblemCode[] = [
  'invalid_query',
  'unauthenticated',
  'forbidden',
  'rate_limited',
  'internal',
  'upstream_rejected',
  'upstream_failed',
  'keys_unavailable',
  'upstream_throttled',
  'overloaded',
  'upstream_timeout',
];
const HEADERS_OF_STATUS: Readonly<Record<number, readonly string[]>> = {
  401: ['WWW-Authenticate'],
  403: ['WWW-Authenticate'],
  429: ['Retry-After', 'RateLimit', 'RateLimit-Policy'],
  503: ['Retry-After'],
};
const DETAILS: Readonly<Partial<Record<ProblemCode, string>>> = {
  invalid_query: "unknown parameter 'page'; only 'name' is allowed",
  forbidden: "the token lacks the scope 'imagecaches:read'",
  rate_limited: 'more than 600 requests a minute',
};

function problemResponses(codes: readonly ProblemCode[], form: 'problem' | 'vendor'): Json {
  const responses: Json = {};
  for (const status of [...new Set(codes.map((code) => PROBLEM_KINDS[code].status))].sort()) {
    const ofStatus = codes.filter((code) => PROBLEM_KINDS[code].status === status);
    const examples = Object.fromEntries(
      ofStatus.map((code) => {
        const { title } = PROBLEM_KINDS[code];
        const detail = DETAILS[code];
        const problem = {
          type: `urn:imagecaches-bff:problem:${code}`,
          title,
          status,
          ...(detail === undefined ? {} : { detail }),
          instance: REQUEST_ID,
          code,
        };
        const vendor = {
          error_code: `IMAGECACHES.${code}`,
          error_msg: detail === undefined ? title : `${title}: ${detail}`,
          request_id: REQUEST_ID,
        };
        return [code, { value: form === 'problem' ? problem : vendor }];
      }),
    );
    responses[status] = {
      description: ofStatus.map((code) => `\`${code}\`: ${PROBLEM_KINDS[code].title}.`).join(' '),
      headers: headers('X-Request-Id', ...(HEADERS_OF_STATUS[status] ?? [])),
      content: {
        [form === 'problem' ? 'application/problem+json' : 'application/json']: {
          schema: ref('schemas', form === 'problem' ? 'Problem' : 'VendorError'),
          examples,
        },
      },
    };
  }
  return responses;
}

const LIST_HEADERS = ['ETag', 'Age', 'Cache-Control', 'Cache-Status', 'X-Request-Id'];

function listOperation(operationId: string, form: 'problem' | 'vendor', security: Json[]): Json {
  return {
    operationId,
    tags: ['image caches'],
    summary: form === 'problem' ? 'The image caches' : "The image caches, for the vendor's SDKs",
    description:
      'The whole list, or with `name` the image caches of just this name, which may be none. The list is the same for every caller who may have it. `Cache-Control: no-cache` from a token with the refresh scope has it loaded anew, once a second at most. With `Accept-Encoding` it comes compressed by brotli or gzip, under an ETag of its own.',
    security,
    parameters: [ref('parameters', 'Name'), ref('parameters', 'IfNoneMatch')],
    responses: {
      200: {
        description: 'The list.',
        headers: headers(...LIST_HEADERS),
        content: content('application/json', 'ImageCacheList', { image_caches: [IMAGE_CACHE_EXAMPLE] }),
      },
      304: {
        description: 'Nothing has changed since the list with this ETag.',
        headers: headers(...LIST_HEADERS),
      },
      ...problemResponses(LIST_CODES, form),
    },
  };
}

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

const BEARER: Json = { token: [] };
const SIGNED: Json = { signature: [] };

/**
 * The API document, OpenAPI 3.1, made from the schemas that the service validates with. It is written into the
 * repository and served as it is: making it in the service would cost a Worker a library.
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
    paths: {
      '/imagecaches': withHead(listOperation('listImageCaches', 'problem', [BEARER])),
      '/v5/imagecaches': withHead(listOperation('listImageCachesAsVendor', 'vendor', [BEARER, SIGNED])),
      '/v3/projects': withHead({
        operationId: 'listProjects',
        tags: ['image caches'],
        summary: 'One made-up project, which SDKs ask for first',
        security: [BEARER, SIGNED],
        parameters: [ref('parameters', 'Region')],
        responses: {
          200: {
            description: 'The project of the region. Its id means nothing in the cloud.',
            headers: headers('X-Request-Id'),
            content: content('application/json', 'Projects', {
              projects: [
                {
                  id: '0123456789abcdef0123456789abcdef',
                  name: 'cn-north-4',
                  enabled: true,
                  is_domain: false,
                  description: '',
                },
              ],
              links: {},
            }),
          },
          ...problemResponses(
            ['invalid_query', 'unauthenticated', 'forbidden', 'rate_limited', 'internal', 'keys_unavailable'],
            'vendor',
          ),
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
    },
    components: {
      schemas: {
        ImageCache: { ...schemaOf(ImageCacheSchema), examples: [IMAGE_CACHE_EXAMPLE] },
        ImageCacheList: listSchema(),
        Problem: schemaOf(ProblemSchema),
        VendorError: schemaOf(VendorErrorSchema),
        Projects: schemaOf(ProjectsSchema),
        Live: schemaOf(LiveSchema),
        Ready: schemaOf(ReadySchema),
        Unready: schemaOf(UnreadySchema),
      },
      headers: Object.fromEntries(
        Object.entries(HEADERS).map(([name, header]) => [name.replaceAll('-', ''), header]),
      ),
      parameters: {
        Name: {
          name: 'name',
          in: 'query',
          description: 'Exact name. May be given once; any other parameter is refused.',
          schema: { type: 'string', pattern: IMAGE_CACHE_NAME.source, minLength: 1, maxLength: 128 },
          example: 'web-base',
        },
        Region: {
          name: 'name',
          in: 'query',
          required: true,
          description: 'The name of a region.',
          schema: { type: 'string', pattern: REGION_NAME.source },
          example: 'cn-north-4',
        },
        IfNoneMatch: {
          name: 'If-None-Match',
          in: 'header',
          description: 'ETags that you hold, or `*`.',
          schema: { type: 'string' },
          example: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"',
        },
      },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'A token of a configured issuer, for the configured audience, with the scope `imagecaches:read`.',
        },
        signature: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description:
            "A request signed by one of the vendor's SDKs (SDK-HMAC-SHA256) with a key pair of this service.",
        },
      },
    },
  };
}

/** The list refers to its entry by name. */
function listSchema(): Json {
  const schema = schemaOf(ImageCacheListSchema) as { properties: { image_caches: Json } };
  const { items: _items, ...list } = schema.properties.image_caches;
  return { ...schema, properties: { image_caches: { ...list, items: ref('schemas', 'ImageCache') } } };
}

/** The document as it lies in the repository. */
export function documentText(): string {
  return `${JSON.stringify(buildDocument(), null, 2)}\n`;
}
