import * as z from 'zod';
import { PROBLEM_KINDS } from '../../../http/problem.ts';
import { IMAGE_CACHE_EXAMPLE, ImageCacheListSchema, ImageCacheSchema } from '../../../imagecaches/schema.ts';
import { type Json, ref } from './json.ts';

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

const ProtectedResourceSchema = z.strictObject({
  resource: z.string().describe('The URL of the service.'),
  resource_name: z.string(),
  authorization_servers: z.array(z.string()).min(1).optional().describe('Issuers, by the claim iss.'),
  scopes_supported: z.array(z.string()).min(1),
  bearer_methods_supported: z.array(z.literal('header')).length(1),
});

const DomainsSchema = z.strictObject({
  domains: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[0-9a-f]{32}$/),
        name: z.string(),
        enabled: z.literal(true),
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
const degraded = z
  .array(z.string())
  .min(1)
  .optional()
  .describe('Issuers whose keys cannot be had for now, by the claim iss. Only their callers are affected.');
const ReadySchema = z.strictObject({ status: z.literal('ready'), degraded });
const UnreadySchema = z.strictObject({
  status: z.literal('unready'),
  failing: z.array(z.enum(['lifecycle', 'keys', 'credentials'])).min(1),
  degraded,
});

/** As OpenAPI 3.1 has it: JSON Schema of draft 2020-12, without a mark of its own. */
function schemaOf(schema: z.core.$ZodType): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'output' }) as Json;
  return rest;
}

/** The list refers to its entry by name. */
function listSchema(): Json {
  const schema = schemaOf(ImageCacheListSchema) as { properties: { image_caches: Json } };
  const { items: _items, ...list } = schema.properties.image_caches;
  return { ...schema, properties: { image_caches: { ...list, items: ref('schemas', 'ImageCache') } } };
}

export const SCHEMA_COMPONENTS = {
  ImageCache: { ...schemaOf(ImageCacheSchema), examples: [IMAGE_CACHE_EXAMPLE] },
  ImageCacheList: listSchema(),
  OneImageCache: {
    type: 'object',
    properties: { image_cache: ref('schemas', 'ImageCache') },
    required: ['image_cache'],
    additionalProperties: false,
  },
  Problem: schemaOf(ProblemSchema),
  VendorError: schemaOf(VendorErrorSchema),
  Projects: schemaOf(ProjectsSchema),
  ProtectedResource: schemaOf(ProtectedResourceSchema),
  Domains: schemaOf(DomainsSchema),
  Live: schemaOf(LiveSchema),
  Ready: schemaOf(ReadySchema),
  Unready: schemaOf(UnreadySchema),
};

/** The body of a response: a schema of the document, with an example of it. */
export function content(type: string, name: keyof typeof SCHEMA_COMPONENTS, example: unknown): Json {
  return { [type]: { schema: ref('schemas', name), example } };
}
