#!/usr/bin/env node
// The command line. Each command is a module of its own, loaded when it is asked for: it takes its arguments, returns the exit status,
// and throws what it cannot do.

import { describeError } from './cli/expected-error.ts';
import { allowClosedPipes } from './cli/pipes.ts';
import { USAGE, UsageError } from './cli/usage.ts';
import { packageVersion } from './cli/version.ts';

type Command = (args: string[]) => Promise<number>;

const BENCHMARKS: Readonly<Record<string, Command>> = {
  floor: async (args) => (await import('./floor.ts')).floor(args),
  flip: async (args) => (await import('./flip.ts')).flip(args),
  pauses: async (args) => (await import('./pauses.ts')).pauses(args),
};

const COMMANDS: Readonly<Record<string, Command>> = {
  doctor: async (args) => (await import('./doctor.ts')).doctor(args),
  run: async (args) => (await import('./run.ts')).run(args),
  bench: async (args) =>
    Object.hasOwn(BENCHMARKS, args[0] ?? '')
      ? BENCHMARKS[args[0]](args.slice(1))
      : (await import('./suite.ts')).suite(args),
  compare: async (args) => (await import('./compare.ts')).compareFiles(args),
};

function dispatch([name, ...rest]: string[]): Promise<number> {
  const names = Object.keys(COMMANDS).join(', ');
  if (name === undefined) throw new UsageError(`name a command, one of ${names}`);
  if (!Object.hasOwn(COMMANDS, name))
    throw new UsageError(`there is no command "${name}"; there are: ${names}`);
  return COMMANDS[name](rest);
}

async function main(args: string[]): Promise<number> {
  const [first] = args;
  if (first === '--version') {
    process.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  if (first === '--help' || first === '-h') {
    process.stdout.write(USAGE);
    return 0;
  }
  return dispatch(args);
}

allowClosedPipes();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { text, status } = describeError(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = status;
}
