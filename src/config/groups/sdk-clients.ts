import * as z from 'zod/mini';
import { type LocalKey, parseLocalKeys } from '../documents/local-keys.ts';
import { documentOf } from '../forms.ts';
import { givenWithout, type SettingGroup } from '../read-settings.ts';
import { flag, type SettingRows } from '../setting.ts';
import type { CallerRows } from './callers.ts';
import type { LimitRows } from './limits.ts';

const ROWS = {
  SDK_KEYS: {
    form: documentOf(parseLocalKeys),
    rule: 'a JSON document of key pairs',
    example: '{"keys":[…]}',
    file: 'usual',
    isSecret: true,
    hasOwnFaults: true,
  },
  SDK_PUBLIC_HOST: {
    form: z.string().check(z.regex(/^[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::\d{1,5})?$/)),
    rule: 'the host, with its port where it is not the default, that SDK clients are pointed at',
    example: 'imagecaches.example.com',
  },
  SDK_REPLAY_PROTECTION: flag('off'),
} satisfies SettingRows;

/** Key pairs of our own, for callers that use the vendor's SDKs. They have no power in the cloud. */
export interface SdkClientsConfig {
  readonly keys: readonly LocalKey[];
  /** Whose changes are followed. */
  readonly file: string | undefined;
  readonly requiredScope: string;
  /** A host that clients may have signed, besides the one that arrives. */
  readonly publicHost: string | undefined;
  /** A signature is good for one client address only. */
  readonly isReplayRefused: boolean;
}

export interface SdkClientsPart {
  /** Undefined: requests signed with a key pair are refused. */
  readonly sdkClients: SdkClientsConfig | undefined;
}

type ReadRows = typeof ROWS &
  Pick<CallerRows, 'AUTH_ISSUER' | 'AUTH_AUDIENCE' | 'AUTH_ISSUERS' | 'AUTH_SCOPE'> &
  Pick<LimitRows, 'TRUSTED_PROXIES'>;

/** Who may call with a key pair, beside or in place of those with a token. */
export const sdkClientsGroup: SettingGroup<typeof ROWS, SdkClientsPart, ReadRows> = {
  rows: ROWS,

  reportContradictions({ values, isGiven }, { report, reportMissing }) {
    // Without an issuer or a key pair anyone could read: there is no default and no way to turn authentication off.
    const hasOtherCallers = isGiven('AUTH_ISSUERS') || isGiven('SDK_KEYS');
    if (!hasOtherCallers || isGiven('AUTH_ISSUER') || isGiven('AUTH_AUDIENCE')) {
      if (!isGiven('AUTH_ISSUER')) reportMissing('AUTH_ISSUER');
      if (!isGiven('AUTH_AUDIENCE')) reportMissing('AUTH_AUDIENCE');
    }
    if (values.SDK_REPLAY_PROTECTION && !isGiven('TRUSTED_PROXIES'))
      reportMissing('TRUSTED_PROXIES', ', and SDK_REPLAY_PROTECTION needs the addresses of clients');
    for (const name of ['SDK_PUBLIC_HOST', 'SDK_REPLAY_PROTECTION'] as const) {
      if (isGiven(name) && !isGiven('SDK_KEYS'))
        report(name, 'is of no use without SDK_KEYS_FILE; remove it');
    }
  },

  findIdle: (settings) =>
    settings.isGiven('AUTH_ISSUER') || settings.isGiven('SDK_KEYS')
      ? []
      : givenWithout(['AUTH_SCOPE'], settings, 'each issuer of AUTH_ISSUERS_FILE has its own'),

  toConfig: ({ values, fileOf }) => ({
    sdkClients:
      values.SDK_KEYS === undefined
        ? undefined
        : {
            keys: values.SDK_KEYS,
            file: fileOf('SDK_KEYS'),
            requiredScope: values.AUTH_SCOPE,
            publicHost: values.SDK_PUBLIC_HOST?.toLowerCase(),
            isReplayRefused: values.SDK_REPLAY_PROTECTION,
          },
  }),
};
