import { type ConfigFault, FILE_SETTINGS } from '../../../config/config.ts';
import { faultsOfTlsFiles } from '../tls/tls-files.ts';
import { readTextFileSync } from './read-text-file.ts';

export interface SettingsWithFiles {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A file that cannot be read or used, or NAME and NAME_FILE both set: for parseConfig to list with the others. */
  readonly faults: readonly ConfigFault[];
}

/**
 * Resolves `NAME_FILE`: the environment with each such setting read from its file. Files of TLS, which stay files, are
 * checked. Never throws.
 */
export function readSettingFiles(environment: NodeJS.ProcessEnv): SettingsWithFiles {
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
      resolved[name] = readTextFileSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      faults.push({ setting: `${name}_FILE`, fault: `names a file that cannot be read (${code})` });
    }
  }
  return { environment: resolved, faults: [...faults, ...faultsOfTlsFiles(environment)] };
}
