import type { ConfigFault } from './config-error.ts';
import { nameInWords, type Setting, type SettingRows } from './setting.ts';

type SettingValue<Row> =
  Row extends Setting<infer Value>
    ? Row extends { readonly default: string }
      ? Value
      : Value | undefined
    : never;

/** By name: the value, else that of the row's default, else undefined. A bad setting counts as not set. */
export type SettingValues<Rows extends SettingRows> = {
  readonly [Name in keyof Rows]: SettingValue<Rows[Name]>;
};

/** The settings of these rows, as a group reads them. */
export interface Settings<Rows extends SettingRows> {
  readonly values: SettingValues<Rows>;
  /** True when it was set, even badly, or reported: a bad setting is reported once, not as missing too. */
  isGiven(name: keyof Rows & string): boolean;
  /** The path in `NAME_FILE`. */
  fileOf(name: keyof Rows & string): string | undefined;
}

/** Where a group reports what is wrong. No fault holds a value. */
export interface Faults<Rows extends SettingRows> {
  report(name: keyof Rows & string, fault: string): void;
  /** @param also what else is missing, or what needs the setting: follows "is missing" */
  reportMissing(name: keyof Rows & string, also?: string): void;
}

/** The name of a setting, and why it has no effect: follows "has no effect:". */
export type IdleSetting<Rows extends SettingRows> = readonly [name: keyof Rows & string, reason: string];

/** Those of the settings that are given, with the reason why they have no effect. */
export function givenWithout<Rows extends SettingRows>(
  names: readonly (keyof Rows & string)[],
  { isGiven }: Settings<Rows>,
  reason: string,
): readonly IdleSetting<Rows>[] {
  return names.filter(isGiven).map((name) => [name, reason]);
}

/**
 * One group of settings: a part of the configuration.
 *
 * `Read` are the rows that it reads: its own, and those of other groups on which it depends.
 */
export interface SettingGroup<Rows extends SettingRows, Part, Read extends SettingRows = Rows> {
  readonly rows: Rows;
  /** Names that the documentation of others has and this version does not follow. Each is a fault. */
  readonly unsupported?: readonly string[];
  /** What is said of those names. Default: that they are to be removed. */
  readonly unsupportedFault?: string;
  /** Reports what is missing, and what contradicts what. Values are those of the settings that are good. */
  readonly reportContradictions?: (settings: Settings<Read>, faults: Faults<Read>) => void;
  /** Settings that are given and have no effect beside the others, each with the reason. They are no faults. */
  readonly findIdle?: (settings: Settings<Read>) => readonly IdleSetting<Read>[];
  /** Called when there is no fault. */
  readonly toConfig: (settings: Settings<Read>) => Part;
}

export interface ReadSettings<Rows extends SettingRows> {
  readonly settings: Settings<Rows>;
  readonly faults: Faults<Rows>;
  /** All that was reported, in order. */
  readonly reported: readonly ConfigFault[];
}

/**
 * Reads each row's setting from an environment record and reports those that are not of the row's form.
 *
 * @param environment texts; numbers and booleans count as their text, and any other value is a fault
 * @param unsupported names that must not be set, each with what is said of it
 * @param fileFaults what was wrong with files: they come first, and their settings count as given
 */
export function readSettings<Rows extends SettingRows>(
  rows: Rows,
  environment: Readonly<Record<string, unknown>>,
  unsupported: readonly (readonly [name: string, fault: string])[],
  fileFaults: readonly ConfigFault[],
): ReadSettings<Rows> {
  const reported: ConfigFault[] = [...fileFaults];
  const given = new Set<string>(fileFaults.map(({ setting }) => setting.replace(/_FILE$/, '')));
  const values: Record<string, unknown> = {};
  const report = (name: string, fault: string) => {
    given.add(name);
    reported.push({ setting: nameInWords(name, rows[name]), fault });
  };

  for (const [name, row] of Object.entries(rows)) {
    if (!isTextual(environment[name])) {
      given.add(name);
      reported.push({
        setting: name,
        fault: 'must be text, a number or a boolean, not a list, an object or null',
      });
    }
    const text = textOf(environment[name]);
    if (text !== undefined) given.add(name);
    const result = text === undefined ? undefined : row.form.safeParse(text);
    if (result?.success === false)
      for (const fault of faultsOf(row, result.error.issues)) report(name, fault);
    values[name] = result?.success ? result.data : defaultOf(row);
  }
  for (const [name, fault] of unsupported) {
    if (textOf(environment[name]) !== undefined || !isTextual(environment[name])) report(name, fault);
  }

  return {
    settings: {
      values: values as SettingValues<Rows>,
      isGiven: (name) => given.has(name),
      fileOf: (name) => textOf(environment[`${name}_FILE`]),
    },
    faults: {
      report,
      reportMissing(name, also = '') {
        const { rule, example } = rows[name] as Setting;
        report(name, `is missing${also}; set it to ${rule}, for example ${example}`);
      },
    },
    reported,
  };
}

function faultsOf(row: Setting, issues: readonly { readonly message: string }[]): readonly string[] {
  if (row.hasOwnFaults) return issues.map(({ message }) => message);
  return [`must be ${row.rule}, for example ${row.example}`];
}

function defaultOf(row: Setting): unknown {
  return row.default === undefined ? undefined : row.form.parse(row.default);
}

/** Workers have numbers, booleans and JSON among their variables, where others have text alone. */
function isTextual(value: unknown): boolean {
  return value === undefined || TEXTUAL_TYPES.has(typeof value);
}

const TEXTUAL_TYPES: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

function textOf(value: unknown): string | undefined {
  if (value === undefined || !isTextual(value)) return undefined;
  const text = String(value).trim();
  return text === '' ? undefined : text;
}
