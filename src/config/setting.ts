import * as z from 'zod/mini';

/**
 * One row of the settings: all that the service knows of one environment variable. The documentation and the chart's
 * schema are made from the rows; their sentence on each is in meanings.ts.
 */
export interface Setting<Value = unknown> {
  /** Text to value. White space around the text is gone, and it is not empty. */
  readonly form: z.ZodMiniType<Value, string>;
  /** What is expected, in words that follow "must be". */
  readonly rule: string;
  /** A text that the form takes, or a placeholder where it would be a secret or a document. */
  readonly example: string;
  /** What stands for a variable that is not set: a text that the form takes. */
  readonly default?: string;
  /** Every text that the form takes, where these can be listed. */
  readonly choices?: readonly string[];
  /** The bounds of a number, both included. */
  readonly range?: SettingRange;
  /** `NAME_FILE` may name a file that holds it; `usual`: documentation and faults speak of `NAME_FILE`. */
  readonly file?: 'possible' | 'usual';
  /** It must not be readable where settings are, such as in a Deployment. */
  readonly isSecret?: true;
  /** The messages of the form's issues are ours, each a whole fault, and hold no value. */
  readonly hasOwnFaults?: true;
}

export interface SettingRange {
  readonly least: number;
  readonly most: number;
}

export type SettingRows = Readonly<Record<string, Setting>>;

/** A row whose value is never undefined. */
export type DefaultedSetting<Value> = Setting<Value> & { readonly default: string };

/** The default is the example too. */
export function wholeNumber(least: number, most: number, defaultValue: number): DefaultedSetting<number> {
  const form = z
    .pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number))
    .check(z.refine((value) => value >= least && value <= most));
  const text = String(defaultValue);
  const rule = `a whole number from ${least} to ${most}`;
  return { form, rule, example: text, default: text, range: { least, most } };
}

/** From this number on, choices are listed without quotation marks. */
const MANY_CHOICES = 5;

/** One of a few words. The default is the example too. */
export function choice<const Choice extends string>(
  choices: readonly Choice[],
  defaultChoice: NoInfer<Choice>,
): DefaultedSetting<Choice> {
  const quoted = choices.map((word) => `'${word}'`);
  const rule =
    choices.length < MANY_CHOICES
      ? `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`
      : `one of ${choices.join(', ')}`;
  return { form: z.enum(choices), rule, example: defaultChoice, default: defaultChoice, choices };
}

/** 'on' or 'off', or the text of a boolean, as a boolean. The example is the opposite of the default. */
export function flag(defaultChoice: 'on' | 'off'): DefaultedSetting<boolean> {
  const row = choice(['on', 'off', 'true', 'false'], defaultChoice);
  return {
    ...row,
    form: z.pipe(
      row.form,
      z.transform((word) => word === 'on' || word === 'true'),
    ),
    example: defaultChoice === 'on' ? 'off' : 'on',
  };
}

/** The name by which documentation and faults speak of a setting. */
export function nameInWords(name: string, row: Setting | undefined): string {
  return row?.file === 'usual' ? `${name}_FILE` : name;
}
