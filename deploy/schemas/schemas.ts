import * as z from 'zod';
import { IssuersSchema } from '../../src/config/documents/issuers.ts';
import { LocalKeysSchema } from '../../src/config/documents/local-keys.ts';

/** The very schemas that the service checks the documents with. */
export const SCHEMAS = {
  'auth-issuers.schema.json': IssuersSchema,
  'sdk-keys.schema.json': LocalKeysSchema,
} as const;

/** JSON Schema, draft 2020-12; what may be left out of a document is not required. */
export function schemaText(name: keyof typeof SCHEMAS): string {
  return `${JSON.stringify(z.toJSONSchema(SCHEMAS[name], { io: 'input' }), null, 2)}\n`;
}
