import type { SettingGroup } from '../read-settings.ts';
import { type SettingRows, wholeNumber } from '../setting.ts';

const ROWS = {
  SHUTDOWN_DELAY_SECONDS: wholeNumber(0, 600, 5),
  SHUTDOWN_GRACE_SECONDS: wholeNumber(0, 3600, 25),
} satisfies SettingRows;

export interface ShutdownPart {
  readonly shutdown: { readonly delayMs: number; readonly graceMs: number };
}

/** How the service stops. */
export const shutdownGroup: SettingGroup<typeof ROWS, ShutdownPart> = {
  rows: ROWS,
  toConfig: ({ values }) => ({
    shutdown: {
      delayMs: values.SHUTDOWN_DELAY_SECONDS * 1000,
      graceMs: values.SHUTDOWN_GRACE_SECONDS * 1000,
    },
  }),
};
