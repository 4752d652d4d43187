export type FindingStatus = 'ok' | 'warning' | 'failed' | 'skipped';

/** What came of one check. Holds no secret, and no text of upstream. */
export interface Finding {
  readonly name: string;
  readonly status: FindingStatus;
  /** What was found. */
  readonly detail: string;
  /** How to fix it, where something is wrong. */
  readonly remedy?: string;
}

export type Outcome = Omit<Finding, 'name'>;

export const ok = (detail: string): Outcome => ({ status: 'ok', detail });
export const warning = (detail: string, remedy: string): Outcome => ({ status: 'warning', detail, remedy });
export const failed = (detail: string, remedy: string): Outcome => ({ status: 'failed', detail, remedy });
export const skipped = (detail: string): Outcome => ({ status: 'skipped', detail });
