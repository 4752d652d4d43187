/**
 * `npm run schemas`: writes the JSON Schemas of the documents that operators write, for their editors, and the API
 * document, for the service to serve.
 */
import { writeFile } from 'node:fs/promises';
import { documentText } from '../../src/pages/api/build-document.ts';
import { SCHEMAS, schemaText } from './schemas.ts';

for (const name of Object.keys(SCHEMAS))
  await writeFile(new URL(name, import.meta.url), schemaText(name as keyof typeof SCHEMAS));

await writeFile(new URL('../../src/pages/api/openapi.json', import.meta.url), documentText());
