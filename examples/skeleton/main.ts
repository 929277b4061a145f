// npm run example skeleton: the smallest complete runtime, at work and under the conformance kit. README.md says how to begin with it.
import { TospaceError } from 'tospace/uffd';
import { type ConformanceReport, conformance, describeReport, type Mistake } from 'tospace/conformance';
import { main, readArguments, runReport } from '../support/command.ts';
import skeleton from './embedder.ts';
import { MISTAKES } from './mistakes/index.ts';
import { type ProgramReport, runProgram } from './program.ts';

const USAGE = `npm run example skeleton [-- OPTIONS]

Runs a toy runtime, and then the conformance kit on it.

  --mistake NAME  plant one: ${Object.keys(MISTAKES).join(', ')}
  --seed N        repeat what the kit did with that seed
  --effort N      histories of each kind (default 1)
  --json          one JSON document on standard output
  --help          this text

The status is 0 when the kit says what is true: that the runtime conforms, or which mistake was planted.
`;

interface Arguments {
  readonly mistake: Mistake | undefined;
  readonly seed: number | undefined;
  readonly effort: number;
  readonly json: boolean;
  readonly help: boolean;
}

export interface SkeletonReport {
  readonly example: 'skeleton';
  /** Not with a mistake. */
  readonly program: ProgramReport | undefined;
  readonly planted: Mistake | undefined;
  readonly conformance: ConformanceReport;
}

function readInteger(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high)
    throw new TospaceError('ERR_OPTION', `${name}: an integer from ${low} to ${high}, not ${text}`);
  return value;
}

function parse(): Arguments {
  const { mistake, seed, effort, json, help } = readArguments(
    {
      mistake: { type: 'string' },
      seed: { type: 'string' },
      effort: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  if (mistake !== undefined && !Object.hasOwn(MISTAKES, mistake))
    throw new TospaceError(
      'ERR_OPTION',
      `--mistake: one of ${Object.keys(MISTAKES).join(', ')}, not ${mistake}`,
    );
  return {
    mistake: mistake as Mistake | undefined,
    seed: seed === undefined ? undefined : readInteger('--seed', seed, 0, 2 ** 31 - 1),
    effort: readInteger('--effort', effort, 1, 1000),
    json,
    help,
  };
}

async function measure({ mistake, seed, effort }: Arguments): Promise<SkeletonReport> {
  const embedder = mistake === undefined ? skeleton : MISTAKES[mistake]!;
  return {
    example: 'skeleton',
    program: mistake === undefined ? await runProgram() : undefined,
    planted: mistake,
    conformance: await conformance(embedder, { effort, ...(seed === undefined ? {} : { seed }) }),
  };
}

function isRight({ planted, conformance: { passed, mistakes } }: SkeletonReport): boolean {
  return planted === undefined ? passed : mistakes.length === 1 && mistakes[0] === planted;
}

function describe(report: SkeletonReport): string {
  const { program, planted, conformance: kit } = report;
  const lines: string[] = [];
  if (program !== undefined) {
    const mebibytes = (program.allocatedBytes / 2 ** 20).toFixed(1);
    lines.push(
      `The program says: ${program.text}. (${mebibytes} MiB allocated, ${program.cycles} cycles)`,
      '',
    );
  }
  lines.push(describeReport(kit));
  if (planted !== undefined)
    lines.push(
      isRight(report) ? `Planted, and named: ${planted}.` : `Planted: ${planted}. The kit does not say so.`,
      '',
    );
  return lines.join('\n');
}

await main('skeleton', () => runReport({ usage: USAGE, readArguments: parse, measure, describe, isRight }));
