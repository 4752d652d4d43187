/** One bad setting: its name and what is wrong, never its value, which may be a secret in the wrong place. */
export interface ConfigFault {
  readonly setting: string;
  readonly fault: string;
}

/** Thrown with everything that is wrong, so that one restart is enough to correct all of it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map(({ setting, fault }) => `  ${setting}: ${fault}`);
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${lines.join('\n')}`,
    );
    this.faults = faults;
  }
}
