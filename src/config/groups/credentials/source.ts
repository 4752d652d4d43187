import type { Faults, Settings } from '../../read-settings.ts';
import type { SettingRows } from '../../setting.ts';

/**
 * One place that credentials come from: its settings and its part of the configuration.
 *
 * `Read` are the rows that it reads: its own, and those of others on which it depends.
 */
export interface CredentialSource<Rows extends SettingRows, Part, Read extends SettingRows = Rows> {
  readonly rows: Rows;
  /** With HUAWEICLOUD_CREDENTIALS=auto the first source that is offered is used. */
  isOffered(settings: Settings<Rows>): boolean;
  /** Reports what is wrong where this source is used. */
  reportUsed?(settings: Settings<Read>, faults: Faults<Read>): void;
  /** Reports what is wrong where another one is used. */
  reportUnused?(settings: Settings<Read>, faults: Faults<Read>, used: string): void;
  toConfig(settings: Settings<Read>): Part;
}
