/** Values for the chart, and what tests read from what it makes of them. */
import { parseConfig } from '../../src/config/config.ts';
import type { DeployTools } from './install-tools.ts';
import { type KubernetesObject, renderChart, renderText } from './render-chart.ts';

export const SETTINGS = {
  CCE_REGION: 'cn-north-4',
  AUTH_ISSUER: 'https://login.example.com',
  AUTH_AUDIENCE: 'imagecaches',
};
export const ISSUERS = '{"issuers":[{"issuer":"https://a.example.com","audiences":["x"]}]}';

export const VALUES: Readonly<Record<string, object>> = {
  'the least': { settings: SETTINGS },
  everything: {
    image: {
      repository: 'registry.example.com/team/bff',
      digest: `sha256:${'0'.repeat(64)}`,
      pullPolicy: 'Always',
    },
    imagePullSecrets: [{ name: 'pull' }],
    fullnameOverride: 'lists',
    settings: {
      ...SETTINGS,
      SHUTDOWN_DELAY_SECONDS: 10,
      SHUTDOWN_GRACE_SECONDS: '40',
      LOG_LEVEL: 'warn',
      CACHE_MAX_BYTES: 134_217_728,
      OTEL_TRACES_SAMPLER_ARG: 0.25,
    },
    credentials: {
      secretName: 'keys',
      keys: { accessKeyId: 'id', secretAccessKey: 'secret', securityToken: 'token' },
      externalSecret: {
        enabled: true,
        secretStoreRef: { name: 'vault', kind: 'SecretStore' },
        accessKeyId: { key: 'cce', property: 'ak' },
        secretAccessKey: { key: 'cce/sk' },
        securityToken: { key: 'cce', property: 'token' },
      },
    },
    issuers: { document: ISSUERS },
    sdkKeys: { secretName: 'pairs' },
    redis: { secretName: 'redis', key: 'uri' },
    serviceAccount: { name: 'lists', annotations: { a: 'b' } },
    service: {
      type: 'LoadBalancer',
      port: 8443,
      ipFamilyPolicy: 'PreferDualStack',
      labels: { tier: 'api' },
      annotations: { 'kubernetes.io/elb.class': 'union' },
    },
    metrics: {
      port: 9100,
      serviceMonitor: {
        enabled: true,
        scrapeTimeout: '10s',
        labels: { release: 'prometheus' },
        annotations: { p: 'q' },
        relabelings: [{ targetLabel: 'cluster', replacement: 'a' }],
        metricRelabelings: [{ action: 'drop', regex: 'nodejs_gc.*', sourceLabels: ['__name__'] }],
      },
      prometheusRule: {
        enabled: true,
        labels: { release: 'prometheus' },
        runbookUrl: 'https://wiki.example.com/bff',
        disabled: ['ImageCachesThrottled'],
      },
    },
    ingress: {
      enabled: true,
      className: 'cce',
      annotations: { 'kubernetes.io/elb.port': '443' },
      hosts: ['lists.example.com', { host: 'sdk.example.com', paths: [{ path: '/v5', pathType: 'Prefix' }] }],
      tls: [{ secretName: 'lists-tls', hosts: ['lists.example.com'] }],
    },
    httpRoute: {
      enabled: true,
      parentRefs: [{ name: 'public', namespace: 'gateways', sectionName: 'https' }],
      hostnames: ['lists.example.com'],
      filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { remove: ['x-debug'] } }],
      timeouts: { request: '20s' },
    },
    probes: { startup: { failureThreshold: 60 }, liveness: null },
    extraObjects: [
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: '{{ .Release.Name }}-extra' },
        data: { a: 'b' },
      },
      'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: text }\n',
    ],
    commonLabels: { team: 'platform', tier: 'none', 'app.kubernetes.io/version': 'main' },
    commonAnnotations: { owner: 'platform', c: 'common' },
    deploymentAnnotations: { 'reloader.stakater.com/auto': 'true' },
    autoscaling: { enabled: true, minReplicas: 3 },
    podDisruptionBudget: { maxUnavailable: '25%' },
    networkPolicy: {
      ingress: {
        callers: [{ namespaceSelector: { matchLabels: { team: 'web' } } }],
        scrapers: [{ podSelector: { matchLabels: { app: 'prometheus' } } }],
      },
      egress: {
        cce: [{ cidr: '192.0.2.0/24', except: ['192.0.2.8/32'], port: 443 }],
        iam: [{ cidr: '192.0.2.7/32', port: 443 }],
        issuers: [{ podSelector: { matchLabels: { app: 'dex' } }, port: 'https' }],
        redis: [
          {
            namespaceSelector: { matchLabels: { team: 'data' } },
            podSelector: { matchLabels: { app: 'valkey' } },
            port: 6379,
          },
        ],
        traces: [{ cidr: '10.1.2.4/32', port: 4318 }],
        proxy: [{ cidr: '10.1.2.5/32', port: 3128 }],
        other: [{ namespaceSelector: {}, port: 8443 }],
      },
    },
    resources: { limits: { cpu: 1, memory: '1Gi' } },
    topologySpread: { whenUnsatisfiable: 'DoNotSchedule' },
    podAnnotations: { c: 'd', 'checksum/issuers': 'x' },
    podLabels: { e: 'f', 'app.kubernetes.io/name': 'other', team: 'web' },
    nodeSelector: { g: 'h' },
    tolerations: [{ key: 'spot', operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    priorityClassName: 'high',
  },
  'pod identity': {
    settings: { ...SETTINGS, HUAWEICLOUD_SDK_PROJECT_ID: 'a'.repeat(32) },
    credentials: { source: 'pod' },
    redis: { secretName: 'redis' },
    metrics: { port: 0 },
  },
  'files from everywhere': {
    settings: { ...SETTINGS, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:4318' },
    jwks: { secretName: 'jwks', key: 'keys' },
    sdkKeys: { configMapName: 'pairs' },
    caBundle: { configMapName: 'company-ca' },
    otlpHeaders: { secretName: 'otel' },
    extraEnv: [
      { name: 'HUAWEICLOUD_SDK_PROJECT_ID', value: 'a1' },
      { name: 'NODE_OPTIONS', valueFrom: { configMapKeyRef: { name: 'node', key: 'options' } } },
    ],
    envFrom: [{ prefix: 'X_', secretRef: { name: 'more' } }],
    extraVolumes: [{ name: 'tmp', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
  },
  TLS: { settings: SETTINGS, tls: { secretName: 'web-tls' } },
  'certificates of clients': {
    settings: SETTINGS,
    tls: { secretName: 'web-tls', clientCa: { configMapName: 'client-ca', key: 'all.crt' } },
  },
  'the agency of the node, issuers in a Secret, no policy': {
    settings: { CCE_REGION: 'cn-north-4' },
    credentials: { source: 'metadata' },
    issuers: { secretName: 'issuers', key: 'document' },
    serviceAccount: { create: false, name: 'default' },
    networkPolicy: { enabled: false },
    podDisruptionBudget: { enabled: false },
    topologySpread: { enabled: false },
  },
};
export const container = (deployment: KubernetesObject) => deployment.spec.template.spec.containers[0];
export const environmentOf = (deployment: KubernetesObject): Record<string, string> =>
  Object.fromEntries(
    container(deployment).env.map(({ name, value }: { name: string; value: string }) => [name, value]),
  );

/** The settings that the service itself refuses. */
export function faultsOf(environment: Record<string, string | undefined>): string[] {
  try {
    parseConfig(environment);
    return [];
  } catch (error) {
    return (error as { faults: { setting: string }[] }).faults.map(({ setting }) => setting);
  }
}

/** What helm says when it refuses. */
export async function refusal(tools: DeployTools, values: object | string): Promise<string> {
  const rendered = typeof values === 'string' ? renderText(tools, values) : renderChart(tools, values);
  return rendered.then(
    () => '',
    (error: { stderr: string }) => error.stderr,
  );
}
