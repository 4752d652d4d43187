import * as z from 'zod/mini';
import { DESCRIPTIONS } from '../../src/config/documents/descriptions.ts';
import { IssuersSchema } from '../../src/config/documents/issuers.ts';
import { LocalKeysSchema } from '../../src/config/documents/local-keys.ts';

/** The very schemas that the service checks the documents with. */
export const SCHEMAS = {
  'auth-issuers.schema.json': IssuersSchema,
  'sdk-keys.schema.json': LocalKeysSchema,
} as const;

/** JSON Schema, draft 2020-12; what may be left out of a document is not required. */
export function schemaText(name: keyof typeof SCHEMAS): string {
  return `${JSON.stringify(described(z.toJSONSchema(SCHEMAS[name], { io: 'input' })), null, 2)}\n`;
}

/** The same schema, with the description of each member before what else is said of it. */
function described<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const members = Object.entries(value).map(([name, inner]) =>
    name === 'properties'
      ? [
          name,
          Object.fromEntries(
            Object.entries(inner as object).map(([member, schema]) => {
              const description = DESCRIPTIONS[member];
              return [member, { ...(description && { description }), ...described(schema) }];
            }),
          ),
        ]
      : [name, described(inner)],
  );
  return Object.fromEntries(members) as Value;
}
