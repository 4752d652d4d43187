/** One table of the report. */
export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
  /** What a reader has to know: how it was measured, and why a target is not reached. */
  readonly notes?: readonly string[];
}

/** Cells by column; the first column says what the row is about. Every row of a section has the same columns. */
export type Row = Readonly<Record<string, string | number>>;

/** The middle of the samples; of an even number the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The middle of the ratios of samples taken one after the other, which a machine that slows both alike leaves alone. */
export function ratioOf(samples: readonly number[], baseline: readonly number[]): number {
  return median(samples.map((sample, turn) => sample / (baseline[turn] as number)));
}

/** The least and the greatest sample, as `12 to 15`. */
export function spread(samples: readonly number[], digits = 0): string {
  return `${Math.min(...samples).toFixed(digits)} to ${Math.max(...samples).toFixed(digits)}`;
}

/** Rounded to so many digits after the point. */
export function round(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}

/** The sections as text: names to the left, numbers to the right. */
export function renderSections(sections: readonly Section[]): string {
  return sections
    .map(({ title, rows, notes = [] }) =>
      [`\n${title}`, ...renderRows(rows), ...notes.map((note) => `  ${note}`)].join('\n'),
    )
    .join('\n');
}

function renderRows(rows: readonly Row[]): string[] {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] as string).length)));
  return cells.map((line) => {
    const [first = '', ...others] = line;
    const numbers = others.map((cell, index) => cell.padStart((widths[index + 1] as number) + 2));
    return `  ${first.padEnd(widths[0] as number)}${numbers.join('')}`.trimEnd();
  });
}
