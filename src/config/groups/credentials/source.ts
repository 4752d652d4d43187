import type { Faults, Settings } from '../../read-settings.ts';
import type { SettingRows } from '../../setting.ts';

/** Names of settings, by the source that each belongs to. */
export type PassedOver = Readonly<Record<string, readonly string[]>>;

/** One place that credentials come from: its settings and its part of the configuration. */
export interface CredentialSource<Rows extends SettingRows, Part> {
  readonly rows: Rows;
  /** With HUAWEICLOUD_CREDENTIALS=auto the first source that is offered is used. */
  isOffered(settings: Settings<Rows>): boolean;
  /** Reports what is wrong where this source is used. */
  reportUsed?(settings: Settings<Rows>, faults: Faults<Rows>): void;
  /** Reports what is wrong where another one is used. */
  reportUnused?(settings: Settings<Rows>, faults: Faults<Rows>, used: string): void;
  /** @param passedOver the settings of the sources before this one, of which none is set */
  toConfig(settings: Settings<Rows>, passedOver: PassedOver): Part;
}
