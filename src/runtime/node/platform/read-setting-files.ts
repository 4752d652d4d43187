import { homedir } from 'node:os';
import { join } from 'node:path';
import { type ConfigFault, FILE_SETTINGS } from '../../../config/config.ts';
import { faultsOfTlsFiles } from '../tls/tls-files.ts';
import { readTextFileSync } from './read-text-file.ts';

export interface SettingsWithFiles {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * A file that cannot be read or used, or is empty, or NAME and NAME_FILE both set: for parseConfig to list with the
   * others.
   */
  readonly faults: readonly ConfigFault[];
}

/** In an empty file there is none: a mount may have a file for it whatever the key pair is. */
const MAY_BE_EMPTY = 'HUAWEICLOUD_SDK_SECURITY_TOKEN';

/** Where the vendor's SDKs look for a profile file that is not named (core/auth/provider.py). */
const PROFILE_PATH = ['.huaweicloud', 'credentials'];

/**
 * Resolves `NAME_FILE`: the environment with each such setting read from its file. Files of TLS, which stay files, are
 * checked. Never throws.
 */
export function readSettingFiles(given: NodeJS.ProcessEnv): SettingsWithFiles {
  const environment = withProfilePath(given);
  const resolved: Record<string, string | undefined> = { ...environment };
  const faults: ConfigFault[] = [];
  for (const name of FILE_SETTINGS) {
    const path = environment[`${name}_FILE`]?.trim();
    if (path === undefined || path === '') continue;
    if (environment[name]?.trim()) {
      faults.push({ setting: `${name}_FILE`, fault: `contradicts ${name}; set only one of them` });
      continue;
    }
    try {
      const text = readTextFileSync(path);
      resolved[name] = text;
      // Taken as not set, it would end in another source of credentials, or in none of what it configures.
      if (text.trim() === '' && name !== MAY_BE_EMPTY)
        faults.push({ setting: `${name}_FILE`, fault: 'names a file that is empty' });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      faults.push({ setting: `${name}_FILE`, fault: `names a file that cannot be read (${code})` });
    }
  }
  return { environment: resolved, faults: [...faults, ...faultsOfTlsFiles(environment)] };
}

/** The profile file is looked for only where it is asked for: what lies in a home folder is no setting. */
function withProfilePath(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isNamed = ['', '_FILE'].some((end) => environment[`HUAWEICLOUD_SDK_CREDENTIALS${end}`]?.trim());
  if (environment.HUAWEICLOUD_CREDENTIALS?.trim() !== 'profile' || isNamed) return environment;
  return { ...environment, HUAWEICLOUD_SDK_CREDENTIALS_FILE: join(homedir(), ...PROFILE_PATH) };
}
