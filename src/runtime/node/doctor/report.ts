import type { Listener } from './examine.ts';
import type { Finding, FindingStatus } from './findings.ts';

const MARKS: Readonly<Record<FindingStatus, string>> = { ok: '✓', warning: '!', failed: '✗', skipped: '–' };
const COLOURS: Readonly<Record<FindingStatus, number>> = { ok: 32, warning: 33, failed: 31, skipped: 90 };
const ERASE_LINE = '\r\u001b[K';

export interface ReportOptions {
  readonly write: (text: string) => void;
  /** Shows which check is under way, and writes over it. */
  readonly isTerminal: boolean;
  readonly hasColour: boolean;
}

/** Writes a line for each finding as it comes, and one more where there is a remedy. */
export function createReport({ write, isTerminal, hasColour }: ReportOptions): Listener {
  return {
    begin: (name) => {
      if (isTerminal) write(`… ${name}`);
    },
    end: ({ name, status, detail, remedy }) => {
      const mark = hasColour ? `\u001b[${COLOURS[status]}m${MARKS[status]}\u001b[0m` : MARKS[status];
      const advice = remedy === undefined ? '' : `  → ${remedy}\n`;
      write(`${isTerminal ? ERASE_LINE : ''}${mark} ${name}: ${detail}\n${advice}`);
    },
  };
}

/** The last line. */
export function summarise(findings: readonly Finding[]): { readonly isWell: boolean; readonly text: string } {
  const count = (status: FindingStatus) => findings.filter((finding) => finding.status === status).length;
  const isWell = count('failed') === 0;
  const verdict = isWell ? 'All is well' : 'Something is wrong';
  return { isWell, text: `${verdict}: ${count('failed')} failed, ${count('warning')} warnings.` };
}
