import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { DeployTools } from './install-tools.ts';
import { renderChart } from './render-chart.ts';

export const MANIFESTS = new URL('../../deploy/kubernetes/imagecaches-bff.yaml', import.meta.url);
const VALUES = new URL('../../deploy/kubernetes/values.yaml', import.meta.url);

/** Manifests for those who have no Helm: the chart with the example values, without the labels that only Helm needs. */
export async function renderManifests(tools: DeployTools): Promise<string> {
  const values = parse(await readFile(VALUES, 'utf8')) as object;
  const { text } = await renderChart(tools, values, 'imagecaches-bff');
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*(?:helm\.sh\/chart|app\.kubernetes\.io\/managed-by): /.test(line))
    .filter((line) => !line.startsWith('# Source: '));
  return `# Rendered by \`npm run manifests\` from deploy/helm with deploy/kubernetes/values.yaml. Not to be changed by hand.\n${lines.join('\n')}`;
}
