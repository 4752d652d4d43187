/**
 * `npm run schemas`: writes the JSON Schemas of the documents that operators write, for their editors, the settings in
 * docs/configure.md and in the chart's schema, the chart's copy of the alerts, since Helm reads no file outside of a
 * chart, and the API document, for the service to serve.
 */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { documentText } from '../../src/pages/api/build-document.ts';
import { SCHEMAS, schemaText } from './schemas.ts';
import { withChartSettings, withSettingsTable } from './settings.ts';

for (const name of Object.keys(SCHEMAS))
  await writeFile(new URL(name, import.meta.url), schemaText(name as keyof typeof SCHEMAS));

async function rewrite(path: string, change: (text: string) => string): Promise<void> {
  const url = new URL(path, import.meta.url);
  await writeFile(url, change(await readFile(url, 'utf8')));
}
await rewrite('../../docs/configure.md', withSettingsTable);
await rewrite(
  '../helm/imagecaches-bff/values.schema.json',
  (text) => `${JSON.stringify(withChartSettings(JSON.parse(text)), null, 2)}\n`,
);

await copyFile(
  new URL('../prometheus/alerts.yaml', import.meta.url),
  new URL('../helm/imagecaches-bff/files/alerts.yaml', import.meta.url),
);

await writeFile(new URL('../../src/pages/api/openapi.json', import.meta.url), documentText());
