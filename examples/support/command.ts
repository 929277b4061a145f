// What the command lines of the examples have in common: their arguments, where what they say goes, and the exit status.
//
// Exit status: 0 all that the example claims was seen; 1 something was not, or could not be tried; 2 the arguments are wrong.
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { TospaceError } from 'tospace/uffd';

export const FAILED_STATUS = 1;
const USAGE_STATUS = 2;
const ROUNDS_MAX = 100;

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O }>>['values'];

/** Reads the arguments of a command. @throws TospaceError `ERR_OPTION`, with `usage` as the hint */
export function readArguments<O extends Options>(
  options: O,
  usage: string,
  args: readonly string[] = process.argv.slice(2),
): Values<O> {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new TospaceError('ERR_OPTION', (cause as Error).message, { cause, hint: usage });
  }
}

/** Reads `--rounds`. @throws TospaceError `ERR_OPTION` */
export function readRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX)
    throw new TospaceError('ERR_OPTION', `--rounds: an integer from 1 to ${ROUNDS_MAX}, not ${text}`);
  return rounds;
}

/** What {@link runReport} needs to know of an example that measures, and then says what it saw. */
export interface ReportingExample<A extends { readonly json: boolean; readonly help: boolean }, R> {
  readonly usage: string;
  readonly readArguments: () => A;
  readonly measure: (args: A) => R | Promise<R>;
  readonly describe: (report: R) => string;
  /** Whether all that the example claims was seen. */
  readonly isRight: (report: R) => boolean;
}

/** Runs such an example. Returns the exit status. */
export async function runReport<A extends { readonly json: boolean; readonly help: boolean }, R>(
  example: ReportingExample<A, R>,
): Promise<number> {
  const args = example.readArguments();
  if (args.help) {
    process.stdout.write(example.usage);
    return 0;
  }
  const report = await example.measure(args);
  process.stdout.write(args.json ? `${JSON.stringify(report, null, 2)}\n` : example.describe(report));
  return example.isRight(report) ? 0 : FAILED_STATUS;
}

/**
 * The whole of a command: an error that says what to do is printed without a stack, under the name of the example.
 * @param run returns the exit status
 */
export async function main(name: string, run: () => Promise<number>): Promise<void> {
  allowClosedPipes();
  try {
    process.exitCode = await run();
  } catch (e) {
    if (!(e instanceof TospaceError)) throw e;
    process.stderr.write(`${name}: ${e.code}: ${e.message}\n${e.hint}\n`);
    process.exitCode = e.code === 'ERR_OPTION' ? USAGE_STATUS : FAILED_STATUS;
  }
}

/** Whoever reads our output may have seen enough (`| head`): the rest goes nowhere, and the status still says how it went. */
function allowClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (e: NodeJS.ErrnoException) => {
      if (e.code !== 'EPIPE') throw e;
    });
  }
}
