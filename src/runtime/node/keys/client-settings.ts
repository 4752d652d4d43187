/** What a client's environment is made of. */
export interface ClientSettings {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Who calls. */
  readonly subject: string;
  /** Scheme, host and port of the service. */
  readonly url: string;
  /** The region that the client's program names. */
  readonly region: string;
}

type Variables = readonly (readonly [name: string, value: string])[];

/**
 * The variables that the vendor's SDKs, and the samples of its API pages, read: the key pair in both spellings, the endpoint
 * of CCE in one region, and the endpoint of IAM (core/region/env_region.go and core/auth/internal/iam_helper.go of
 * huaweicloud-sdk-go-v3).
 */
export function clientVariables({ accessKeyId, secretAccessKey, url, region }: ClientSettings): Variables {
  return [
    ['CLOUD_SDK_AK', accessKeyId],
    ['CLOUD_SDK_SK', secretAccessKey],
    ['HUAWEICLOUD_SDK_AK', accessKeyId],
    ['HUAWEICLOUD_SDK_SK', secretAccessKey],
    [`HUAWEICLOUD_SDK_REGION_CCE_${region.toUpperCase().replaceAll('-', '_')}`, url],
    ['HUAWEICLOUD_SDK_IAM_ENDPOINT', url],
  ];
}

/** The forms in which a client's environment is printed. */
export const CLIENT_FORMATS = {
  /** Commands of a POSIX shell. No value has a character that a shell reads. */
  shell: (settings: ClientSettings) =>
    clientVariables(settings)
      .map(([name, value]) => `export ${name}=${value}\n`)
      .join(''),
  /** A Secret for `envFrom`. A string of JSON is one of YAML. */
  kubernetes: (settings: ClientSettings) =>
    [
      'apiVersion: v1',
      'kind: Secret',
      'metadata:',
      `  name: ${secretName(settings.subject)}`,
      'type: Opaque',
      'stringData:',
      ...clientVariables(settings).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`),
      '',
    ].join('\n'),
} as const;

export type ClientFormat = keyof typeof CLIENT_FORMATS;

/** A name that Kubernetes takes: at most 63 lower-case letters, digits and `-`. */
function secretName(subject: string): string {
  const name = `imagecaches-${subject.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  return name.slice(0, 63).replace(/-+$/, '');
}
