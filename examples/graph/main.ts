// A shared cache used by four threads: on the managed heap, and of V8's objects, on the command line. See README.md beside the source.
//
// Exit status: 0 all answers and checksums were right; 1 one was not, or a side could not run; 2 the arguments are wrong.
import { main, runReport } from '../support/command.ts';
import { type GraphOptions, parseOptions, USAGE } from './options.ts';
import { describe, isRight } from './report.ts';
import { type GraphReport, run } from './run.ts';
import { SIDE_TITLES } from './sides.ts';

interface Arguments {
  readonly options: GraphOptions;
  readonly json: boolean;
  readonly help: boolean;
}

await main('graph', () =>
  runReport<Arguments, GraphReport>({
    usage: USAGE,
    readArguments: parseOptions,
    measure: ({ options, json }) =>
      run(options, (side, round) => {
        if (!json) process.stderr.write(`round ${round} of ${options.rounds}: ${SIDE_TITLES[side]} …\n`);
      }),
    describe,
    isRight,
  }),
);
