import { visibleAscii } from '../forms.ts';
import type { SettingGroup, SettingValues } from '../read-settings.ts';
import { flag, type SettingRows } from '../setting.ts';
import type { CallerRows } from './callers.ts';

const ROWS = {
  CONSOLE: flag('off'),
  CONSOLE_OIDC_CLIENT_ID: {
    form: visibleAscii,
    rule: 'the id of a public client of AUTH_ISSUER, which may redirect to /console',
    example: 'imagecaches-console',
  },
  API_DOCS: flag('on'),
} satisfies SettingRows;

type ReadRows = typeof ROWS &
  Pick<CallerRows, 'AUTH_ISSUER' | 'AUTH_AUDIENCE' | 'AUTH_SCOPE' | 'AUTH_REFRESH_SCOPE'>;

export interface PagesPart {
  /** The page for operators; undefined: there is none. */
  readonly console:
    | {
        /** How the page gets a token by OpenID Connect; undefined: it is pasted. */
        readonly login:
          | {
              readonly issuer: string;
              readonly clientId: string;
              readonly audience: string;
              /** What is asked for: separated by spaces. */
              readonly scope: string;
            }
          | undefined;
      }
    | undefined;
  /** The API document is served, and the page that shows it. */
  readonly isApiDocumented: boolean;
}

/** The pages that are served beside the API. */
export const pagesGroup: SettingGroup<typeof ROWS, PagesPart, ReadRows> = {
  rows: ROWS,

  reportContradictions({ values, isGiven }, { report, reportMissing }) {
    if (!isGiven('CONSOLE_OIDC_CLIENT_ID')) return;
    if (!values.CONSOLE) report('CONSOLE_OIDC_CLIENT_ID', 'is of no use without CONSOLE=on; remove it');
    if (!isGiven('AUTH_ISSUER'))
      reportMissing('AUTH_ISSUER', ', and CONSOLE_OIDC_CLIENT_ID is a client of it');
  },

  toConfig: ({ values }) => ({ console: toConsole(values), isApiDocumented: values.API_DOCS }),
};

function toConsole(values: SettingValues<ReadRows>): PagesPart['console'] {
  if (!values.CONSOLE) return undefined;
  const { CONSOLE_OIDC_CLIENT_ID: clientId, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audiences = [] } = values;
  if (clientId === undefined) return { login: undefined };
  return {
    login: {
      issuer: issuer as string,
      clientId,
      audience: audiences[0] as string,
      scope: ['openid', values.AUTH_SCOPE, values.AUTH_REFRESH_SCOPE].join(' '),
    },
  };
}
