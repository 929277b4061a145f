// `tospace compare A.json B.json`: did anything get worse?

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { UsageError } from './cli/usage.ts';
import { compare, type Comparison, type ComparisonRow } from './harness/compare.ts';
import { type BenchDocument, FORMAT, FORMAT_VERSION } from './harness/schema.ts';
import { short, table } from './harness/table.ts';

export const COMPARE_USAGE = `Usage: tospace compare BEFORE.json AFTER.json [options]

Compares two documents of \`tospace bench\`, figure by figure. A change is called one when it matters and noise does not explain it.

  --all     show every figure, not only those that changed or might have
  --json    print the comparison as one JSON document and nothing else
  --help    this text

Exit status 0: no regression. 1: a regression. 2: the command line or a file cannot be understood.
`;

/** Runs the command with the arguments behind `compare`; returns the exit status. @throws UsageError */
export async function compareFiles(args: readonly string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === 'help') {
    process.stdout.write(COMPARE_USAGE);
    return 0;
  }
  const result = compare(read(parsed.before), read(parsed.after));
  process.stdout.write(parsed.json ? `${JSON.stringify(result, null, 2)}\n` : describe(result, parsed.all));
  return result.verdict === 'regression' ? 1 : 0;
}

function parse(
  args: readonly string[],
): { before: string; after: string; json: boolean; all: boolean } | 'help' {
  let values: { json?: boolean; all?: boolean; help?: boolean };
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        all: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return 'help';
  const [before, after, ...more] = positionals;
  if (before === undefined || after === undefined || more.length > 0)
    throw new UsageError(`compare: name two files of \`tospace bench --json\`, not ${positionals.length}`);
  return { before, after, json: values.json === true, all: values.all === true };
}

function read(file: string): BenchDocument {
  let value: Partial<BenchDocument> | null;
  try {
    value = JSON.parse(readFileSync(file, 'utf8')) as Partial<BenchDocument> | null;
  } catch (error) {
    throw new UsageError(`compare: cannot read ${file}: ${(error as Error).message}`);
  }
  if (value?.format !== FORMAT) throw new UsageError(`compare: ${file} is no document of \`tospace bench\``);
  if (value.formatVersion !== FORMAT_VERSION)
    throw new UsageError(
      `compare: ${file} has version ${value.formatVersion} of the format; this tospace reads ${FORMAT_VERSION}`,
    );
  return value as BenchDocument;
}

const HEAD = ['configuration', 'figure', 'before', 'after', 'ratio', '95 %', 'needed', 'verdict'];

export function describe(comparison: Comparison, all: boolean): string {
  const { rows, warnings, onlyBefore, onlyAfter } = comparison;
  const shown = all ? rows : rows.filter(({ verdict }) => verdict !== 'same');
  const count = (verdict: ComparisonRow['verdict']): number =>
    rows.filter((one) => one.verdict === verdict).length;
  const lines = [
    ...warnings.map((warning) => `warning: ${warning}`),
    ...(onlyBefore.length === 0 ? [] : [`only before: ${onlyBefore.join(', ')}`]),
    ...(onlyAfter.length === 0 ? [] : [`only after: ${onlyAfter.join(', ')}`]),
    ...(shown.length === 0 ? [] : [table(HEAD, shown.map(cells))]),
    `${rows.length} figures: ${count('regression')} worse, ${count('improvement')} better, ${count('same')} the same, ` +
      `${count('inconclusive')} inconclusive`,
    `verdict: ${comparison.verdict}`,
  ];
  return `${lines.join('\n')}\n`;
}

function cells(row: ComparisonRow): string[] {
  const { configuration, title, unit, before, after, ratio, ratioLow, ratioHigh, threshold, verdict } = row;
  const value = (x: number): string =>
    unit === 'bytes' ? `${short(x / 2 ** 20)} MiB` : `${short(x)} ${unit}`.trim();
  return [
    configuration,
    title,
    value(before.median),
    value(after.median),
    ratio === null ? '–' : `× ${ratio.toFixed(2)}`,
    ratioLow === null || ratioHigh === null ? '–' : `${ratioLow.toFixed(2)}–${ratioHigh.toFixed(2)}`,
    threshold === null ? '–' : `× ${threshold.toFixed(2)}`,
    verdict,
  ];
}
