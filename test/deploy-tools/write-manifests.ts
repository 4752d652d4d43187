/** `npm run manifests`: the plain manifests, rendered from the chart. */
import { writeFile } from 'node:fs/promises';
import { installTools } from './install-tools.ts';
import { MANIFESTS, renderManifests } from './manifests.ts';

await writeFile(MANIFESTS, await renderManifests(await installTools()));
