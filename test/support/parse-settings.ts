import { type Config, ConfigError, parseConfig } from '../../src/config/config.ts';
import { TEST_ENVIRONMENT } from './test-service.ts';

/** What parseConfig says of an environment, by setting; nothing where it takes it. */
export function faultsOf(environment: Record<string, unknown>): Record<string, string> {
  try {
    parseConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) {
      return Object.fromEntries(error.faults.map(({ setting, fault }) => [setting, fault]));
    }
    throw error;
  }
  return {};
}

/** The configuration of the test environment with these settings. */
export function parsed(environment: Record<string, string | undefined> = {}): Config {
  return parseConfig({ ...TEST_ENVIRONMENT, ...environment });
}
