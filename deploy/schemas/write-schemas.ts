/** `npm run schemas`: writes the JSON Schemas of the documents that operators write, for their editors. */
import { writeFile } from 'node:fs/promises';
import { SCHEMAS, schemaText } from './schemas.ts';

for (const name of Object.keys(SCHEMAS))
  await writeFile(new URL(name, import.meta.url), schemaText(name as keyof typeof SCHEMAS));
