import type { Faults, Settings } from '../../read-settings.ts';
import type { SettingRows } from '../../setting.ts';

/** Names of settings, by the source that each belongs to. */
export type PassedOver = Readonly<Record<string, readonly string[]>>;

/**
 * One place that credentials come from: its settings and its part of the configuration.
 *
 * `Read` are the rows that it reads: its own, and those of others on which it depends.
 */
export interface CredentialSource<Rows extends SettingRows, Part, Read extends SettingRows = Rows> {
  readonly rows: Rows;
  /** The settings of which one is enough to say that this source is meant. */
  readonly signs: readonly (keyof Rows & string)[];
  /** Others than the operator may have set them, so that another source may be named beside them. */
  readonly isOfPlatform?: true;
  /** Reports what is wrong where this source is used. */
  reportUsed?(settings: Settings<Read>, faults: Faults<Read>): void;
  /** @param passedOver the settings of the other sources, where none is set and none is named */
  toConfig(settings: Settings<Read>, passedOver: PassedOver): Part;
}
