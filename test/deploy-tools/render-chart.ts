import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
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

/** The same of a values file, as somebody wrote it. */
export async function renderText(
  tools: DeployTools,
  values: string,
  release = 'test',
  args: readonly string[] = [],
): Promise<Rendered> {
  const folder = await mkdtemp(join(tmpdir(), 'chart-values-'));
  try {
    const file = join(folder, 'values.yaml');
    await writeFile(file, values);
    const { stdout } = await run(tools.helm, [
      'template',
      release,
      CHART,
      '--values',
      file,
      '--kube-version',
      KUBERNETES_VERSIONS[0],
      ...args,
    ]);
    const objects = parseAllDocuments(stdout)
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
  } finally {
    await rm(folder, { recursive: true });
  }
}
