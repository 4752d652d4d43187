import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import { type DeployTools, KUBERNETES_VERSIONS } from './install-tools.ts';

const run = promisify(execFile);
export const CHART = fileURLToPath(new URL('../../deploy/helm/imagecaches-bff', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: rendered objects have too many shapes to name
type Loose = any;

/** An object of Kubernetes, as far as tests look. */
export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: Loose;
  readonly spec: Loose;
  readonly data?: Loose;
}

export interface Rendered {
  readonly text: string;
  readonly objects: readonly KubernetesObject[];
  /** The only object of its kind. */
  readonly the: (kind: string, where?: (object: KubernetesObject) => boolean) => Loose;
}

/**
 * What the chart makes of the values.
 *
 * @throws what helm says when it refuses them
 */
export function renderChart(
  tools: DeployTools,
  values: object,
  release = 'test',
  args: readonly string[] = [],
): Promise<Rendered> {
  return renderText(tools, stringify(values), release, args);
}

const rendered = new Map<string, Promise<Rendered>>();

/** The same of a values file, as somebody wrote it. What was rendered before is not rendered again. */
export function renderText(
  tools: DeployTools,
  values: string,
  release = 'test',
  args: readonly string[] = [],
): Promise<Rendered> {
  const key = JSON.stringify([values, release, args]);
  const known = rendered.get(key) ?? template(tools, values, [release, CHART, ...args]);
  rendered.set(key, known);
  return known;
}

/**
 * What Helm would say after an installation. It renders the notes for a cluster only, so a copy of the chart has them in
 * a ConfigMap.
 */
export async function renderNotes(tools: DeployTools, values: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'chart-notes-'));
  try {
    await cp(CHART, folder, { recursive: true });
    await writeFile(
      join(folder, 'templates/notes.yaml'),
      `kind: ConfigMap
metadata: { name: notes }
data:
  notes: {{ include (print .Template.BasePath "/NOTES.txt") . | quote }}
`,
    );
    const { the } = await template(tools, stringify(values), [
      'test',
      folder,
      '--show-only',
      'templates/notes.yaml',
    ]);
    return the('ConfigMap').data.notes;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function template(tools: DeployTools, values: string, args: readonly string[]): Promise<Rendered> {
  const stdout = await runHelm(
    tools,
    ['template', ...args, '--kube-version', KUBERNETES_VERSIONS[0]],
    values,
  );
  const documents = parseAllDocuments(stdout);
  // A key that is there twice is an error of YAML, and Helm does not look.
  for (const [error] of documents.map(({ errors }) => errors)) if (error !== undefined) throw error;
  const objects = documents
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
  return {
    text: stdout,
    objects,
    the: (kind, where = () => true) => {
      const found = objects.filter((object) => object.kind === kind && where(object));
      if (found.length !== 1) throw new Error(`${found.length} objects of the kind ${kind}`);
      return found[0];
    },
  };
}

/**
 * What helm prints, with a values file.
 *
 * @throws what helm says when it refuses them
 */
async function runHelm(tools: DeployTools, args: readonly string[], values: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'chart-values-'));
  try {
    const file = join(folder, 'values.yaml');
    await writeFile(file, values);
    return (await run(tools.helm, [...args, '--values', file])).stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}
