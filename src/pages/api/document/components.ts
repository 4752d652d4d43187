import { IMAGE_CACHE_NAME } from '../../../imagecaches/query.ts';
import { IMAGE_CACHE_EXAMPLE } from '../../../imagecaches/schema.ts';
import { DOMAIN_NAME } from '../../domains-query.ts';
import { REGION_NAME } from '../../projects-query.ts';
import { HEADER_COMPONENTS } from './headers.ts';
import type { Json } from './json.ts';
import { SCHEMA_COMPONENTS } from './schemas.ts';

const PARAMETERS: Json = {
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
  Domain: {
    name: 'name',
    in: 'query',
    description: 'The name of an account, which the domain then has.',
    schema: { type: 'string', pattern: DOMAIN_NAME.source },
    example: 'imagecaches-bff',
  },
  Id: {
    name: 'id',
    in: 'path',
    required: true,
    description: 'Id of an image cache, as the list has it.',
    schema: { type: 'string' },
    example: IMAGE_CACHE_EXAMPLE.id,
  },
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'ETags that you hold, or `*`.',
    schema: { type: 'string' },
    example: '"6f8a1d0c2b3e4f5061728394a5b6c7d8"',
  },
};

const SECURITY_SCHEMES: Json = {
  token: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A token of a configured issuer, for the configured audience, with the scope `imagecaches:read`.',
  },
  authToken: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Auth-Token',
    description: 'The same token, where the API of the vendor has its own.',
  },
  signature: {
    type: 'apiKey',
    in: 'header',
    name: 'Authorization',
    description:
      "A request signed by one of the vendor's SDKs (SDK-HMAC-SHA256) with a key pair of this service.",
  },
};

export const COMPONENTS: Json = {
  schemas: SCHEMA_COMPONENTS,
  headers: HEADER_COMPONENTS,
  parameters: PARAMETERS,
  securitySchemes: SECURITY_SCHEMES,
};
