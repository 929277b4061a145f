// The command line of `tospace doctor`.

import { UsageError } from './usage.ts';

export const DOCTOR_USAGE = `Usage: tospace doctor [--json]

Tries what a heap needs from this kernel and process, and says what is there, what it gives, what is lost without it, and what
repairs it. The exit status is 0 if the concurrent collector can run, also with a user-mode-only userfaultfd, else 1.

Options:
  --json                      print the report of probe() as one JSON document and nothing else
  --help                      show this help
`;

/** Reads the arguments behind `doctor`. @throws UsageError */
export function parseDoctorArguments(args: readonly string[]): { readonly json: boolean } | 'help' {
  const unknown = args.find((arg) => !['--json', '--help', '-h'].includes(arg));
  if (unknown !== undefined)
    throw new UsageError(`doctor: "${unknown}" is not an option; options are --json, --help`);
  if (args.includes('--help') || args.includes('-h')) return 'help';
  return { json: args.includes('--json') };
}
