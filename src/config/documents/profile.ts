import { KEY_FORM, SECURITY_TOKEN_FORM } from '../../signing/credential.ts';
import { isSecureUrl } from '../urls.ts';

/** The section `[basic]` of the file that the vendor's SDKs call a profile. */
export interface Profile {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly securityToken: string | undefined;
  readonly projectId: string | undefined;
  readonly iamEndpoint: string | undefined;
}

const SECTION = 'basic';
const FORMS: Readonly<Record<string, RegExp>> = {
  ak: KEY_FORM,
  sk: KEY_FORM,
  security_token: SECURITY_TOKEN_FORM,
  project_id: /^[A-Za-z0-9_-]{1,64}$/,
};

/**
 * Reads a profile file: INI, of which the section `[basic]` counts (ProfileCredentialProvider in core/auth/provider.py of
 * huaweicloud-sdk-python-v3). Other sections are for other programs.
 *
 * @returns the profile, or what is wrong, without a value
 */
export function parseProfile(text: string): Profile | { readonly faults: readonly string[] } {
  const values = readSection(text);
  if (values === undefined) return { faults: [`names a file without a section [${SECTION}]`] };
  const faults: string[] = [];
  const fault = (name: string, what: string) =>
    faults.push(`names a file in whose [${SECTION}] ${name} ${what}`);
  for (const name of ['idp_id', 'id_token_file'])
    if (values.has(name)) fault(name, 'is of the older federation, which is not supported; use OIDC');
  for (const name of ['ak', 'sk']) if (!values.has(name)) fault(name, 'is missing');
  for (const [name, form] of Object.entries(FORMS)) {
    const value = values.get(name);
    if (value !== undefined && !form.test(value)) fault(name, 'is malformed');
  }
  // It has the form of an id, and would be sent as one.
  if (values.get('project_id') === 'auto')
    fault('project_id', 'is auto, which only HUAWEICLOUD_SDK_PROJECT_ID may be');
  const iamEndpoint = values.get('iam_endpoint')?.replace(/\/+$/, '');
  if (iamEndpoint !== undefined && !(isSecureUrl(iamEndpoint) && new URL(iamEndpoint).search === ''))
    fault('iam_endpoint', 'is not an https URL');
  if (faults.length > 0) return { faults };
  return {
    accessKeyId: values.get('ak') as string,
    secretAccessKey: values.get('sk') as string,
    securityToken: values.get('security_token'),
    projectId: values.get('project_id'),
    iamEndpoint,
  };
}

/** The values of the section; names have no case, and a value that is empty counts as not there. */
function readSection(text: string): Map<string, string> | undefined {
  let values: Map<string, string> | undefined;
  let isIn = false;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const section = /^\[([^\]]*)\]/.exec(line)?.[1];
    if (section !== undefined) {
      isIn = section === SECTION;
      if (isIn) values ??= new Map();
      continue;
    }
    // A value may hold either sign; the first one ends the name.
    const pair = /^\s*([^#;=:\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (isIn && pair?.[2]) values?.set((pair[1] as string).toLowerCase(), pair[2]);
  }
  return values;
}
