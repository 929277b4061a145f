// `tospace doctor`: what this kernel and process give a heap, and what to do about the rest.

import { probe } from 'tospace/uffd';
import { parseDoctorArguments, DOCTOR_USAGE } from './cli/doctor-arguments.ts';
import { doctorText } from './cli/doctor-text.ts';

/** Where standard output is no terminal, the table is as wide as this. */
const COLUMNS = 100;

/** Probes, prints; returns 0 if the concurrent collector can run here, else 1. @throws UsageError */
export function doctor(args: readonly string[]): number {
  const parsed = parseDoctorArguments(args);
  if (parsed === 'help') {
    process.stdout.write(DOCTOR_USAGE);
    return 0;
  }
  const report = probe();
  const text = parsed.json
    ? `${JSON.stringify(report, null, 2)}\n`
    : doctorText(report, process.stdout.columns ?? COLUMNS);
  process.stdout.write(text);
  return report.verdict.concurrent ? 0 : 1;
}
