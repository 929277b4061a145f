// The report of `tospace doctor` for people: a verdict, then a table with a block for every row.

import type { ProbeReport, ProbeRow } from 'tospace/uffd';

const TITLES: Readonly<Record<ProbeRow['group'], string>> = {
  access: 'Ways to a userfaultfd',
  memory: 'Memory',
  moves: 'Moving page tables',
  requests: 'Requests of userfaultfd',
  features: 'Features of userfaultfd',
  limits: 'Limits',
  processors: 'CPUs',
};

const STATUS_COLUMNS = 9;
const NARROWEST = 72;
const WIDEST = 140;

/** Breaks text at blanks into lines of at most `columns`; a word that is longer stays whole. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** The cell on the right of a row: found first, then what it means. */
function cell(row: ProbeRow, columns: number): string[] {
  const entry = (label: string, text: string): string[] => {
    const indent = ' '.repeat(label.length);
    return wrap(text, columns - label.length).map((line, i) => (i === 0 ? label : indent) + line);
  };
  return [
    ...entry('', row.found),
    ...entry('gives:   ', row.gives),
    ...entry('without: ', row.without),
    // A command is not wrapped: it is copied.
    ...(row.repair === null ? [] : [`repair:  ${row.repair}`]),
  ];
}

function block(row: ProbeRow, idColumns: number, columns: number): string {
  const left = `${row.status.padEnd(STATUS_COLUMNS)}${(row.required ? `${row.id} *` : row.id).padEnd(idColumns)}`;
  const lines = cell(row, columns - left.length);
  return lines.map((line, i) => (i === 0 ? left : ' '.repeat(left.length)) + line).join('\n');
}

export function doctorText(report: ProbeReport, terminalColumns: number): string {
  const { verdict, rows } = report;
  const columns = Math.min(WIDEST, Math.max(NARROWEST, terminalColumns));
  const idColumns = Math.max(...rows.map(({ id, required }) => id.length + (required ? 2 : 0))) + 2;
  const count = (status: ProbeRow['status']): string =>
    `${rows.filter((row) => row.status === status).length} ${status}`;
  const parts = [
    `${report.platform}, kernel ${report.kernelVersion}, node ${report.node}, ${report.cpus} CPUs`,
    `${count('ok')}, ${count('limited')}, ${count('missing')}, ${count('info')}; the concurrent collector needs what is marked *`,
  ];
  let group: ProbeRow['group'] | undefined;
  for (const row of rows) {
    if (row.group !== group) parts.push(`\n${TITLES[row.group]}\n`);
    group = row.group;
    parts.push(block(row, idColumns, columns));
  }
  // Last, where a terminal leaves the reader.
  parts.push('', ...wrap(`Verdict: ${verdict.reason}`, columns));
  if (verdict.repair !== null) parts.push(`Repair:  ${verdict.repair}`);
  return `${parts.join('\n')}\n`;
}
