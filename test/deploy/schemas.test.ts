import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { SCHEMAS, schemaText } from '../../deploy/schemas/schemas.ts';

describe("the JSON Schemas for operators' editors", () => {
  it.each(Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[])(
    '%s is what the service checks with',
    async (name) => {
      const shipped = await readFile(new URL(`../../deploy/schemas/${name}`, import.meta.url), 'utf8');
      expect(JSON.parse(shipped)).toEqual(JSON.parse(schemaText(name)));
    },
  );
});
