import { readFileSync } from 'node:fs';
import { ConfigError, type ConfigFault, FILE_SETTINGS } from '../../config.ts';

/**
 * Resolves `NAME_FILE`: the environment with each such setting read from its file.
 *
 * @throws ConfigError when a file cannot be read, or NAME and NAME_FILE are both set
 */
export function readSettingFiles(environment: NodeJS.ProcessEnv): Record<string, string | undefined> {
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
      resolved[name] = readFileSync(path, 'utf8');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      faults.push({ setting: `${name}_FILE`, fault: `names a file that cannot be read (${code})` });
    }
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return resolved;
}
