// What this machine can do, found out by doing it: versions lie (backports, sandboxes, seccomp profiles), results do not.
// Everything happens in scratch mappings that nobody else touches, on the calling thread, which takes no fault itself.
import { availableParallelism } from 'node:os';
import { allowedCpus } from '../cpu.ts';
import { assertKeys, type KeysOf } from '../../known-keys.ts';
import type { Kernel } from '../kernel.ts';
import { createLibcKernel } from '../libc.ts';
import type { UserfaultfdKind } from '../userfaultfd.ts';
import { CATALOGUE } from './catalogue.ts';
import { type Experiment, failed, type Finding, type Lab, missing } from './experiment.ts';
import { type ProbeHost, systemHost } from './host.ts';
import type { ProbeGroup, ProbeReport, ProbeRow, ProbeVerdict } from './report.ts';

export interface ProbeOptions {
  /** Only what decides whether the concurrent collector can run: under a millisecond when warm. Default false. */
  readonly quick?: boolean;
  /** What is probed. Default: the real kernel; where there is none, every row is missing for that reason. */
  readonly kernel?: Kernel;
  /** Where settings and limits are read. Default: this machine. For tests. */
  readonly host?: ProbeHost;
}

const KEYS: KeysOf<ProbeOptions> = { quick: true, kernel: true, host: true };

/**
 * Tries everything that a heap could use, and reads the limits of this process. A full probe takes a tenth of a second, and 64 MiB
 * of memory meanwhile. Whatever it finds, it does not throw; it never blocks, and leaves nothing behind.
 * @throws TospaceError `ERR_OPTION` for an option that there is not
 */
export function probe(options: ProbeOptions = {}): ProbeReport {
  assertKeys('probe', options, KEYS);
  const started = performance.now();
  const { quick = false, host = systemHost() } = options;
  let k = options.kernel;
  let none: Finding | undefined;
  try {
    k ??= createLibcKernel();
  } catch (e) {
    none = failed(e);
  }
  const answers = new Map<string, Answer>();
  const rows: ProbeRow[] = [];
  for (const { group, experiments } of CATALOGUE) {
    for (const experiment of experiments) {
      if (quick && experiment.required !== true) continue;
      const answer =
        k === undefined ? { finding: none! } : ask(experiment, { kernel: k, host, quick }, answers);
      answers.set(experiment.id, answer);
      rows.push(toRow(group, experiment, answer.finding));
    }
  }
  return {
    format: 1,
    platform: host.platform,
    kernelVersion: host.kernelVersion,
    node: process.version,
    pageBytes: k?.getpagesize() ?? 0,
    cpus: countCpus(k),
    quick,
    verdict: judge(rows, answers),
    rows,
    elapsedMs: Math.round((performance.now() - started) * 1000) / 1000,
  };
}

/** A finding, and for what could not be tried the one that stands behind it. */
interface Answer {
  readonly finding: Finding;
  readonly cause?: { readonly id: string; readonly finding: Finding };
}

function ask(experiment: Experiment, lab: Lab, answers: ReadonlyMap<string, Answer>): Answer {
  for (const id of experiment.needs ?? []) {
    const before = answers.get(id);
    // Experiments that decide nothing are not among the quick ones, and what needs them is not either.
    if (before === undefined || before.finding.status !== 'missing') continue;
    // One cause, one reason: nobody is helped by five consequences of it.
    const cause = before.cause ?? { id, finding: before.finding };
    const found = `not tried, because ${cause.id} is missing: ${cause.finding.found}`;
    return { finding: missing(found, cause.finding.repair), cause };
  }
  try {
    return { finding: experiment.run(lab) };
  } catch (e) {
    return { finding: failed(e, experiment.since) };
  }
}

function toRow(group: ProbeGroup, experiment: Experiment, finding: Finding): ProbeRow {
  const { id, gives, without, required = false } = experiment;
  const { status, found, repair = null, values = {} } = finding;
  return { id, group, required, status, found, gives, without, repair, values };
}

function judge(rows: readonly ProbeRow[], answers: ReadonlyMap<string, Answer>): ProbeVerdict {
  const lost = rows.filter(({ required, status }) => required && status === 'missing');
  const kind = (rows.find(({ id }) => id === 'uffd-access')?.values.kind ?? null) as UserfaultfdKind | null;
  const first = lost[0];
  if (first === undefined) {
    const limit =
      kind === 'full'
        ? ''
        : ': a system call that touches a page not yet built fails with EFAULT, so copy data out of the heap first';
    const reason = `the concurrent collector can run, with a ${kind} userfaultfd${limit}`;
    return { concurrent: true, userfaultfd: kind, reason, missing: [], repair: null };
  }
  const { id, finding } = answers.get(first.id)!.cause ?? {
    id: first.id,
    finding: answers.get(first.id)!.finding,
  };
  return {
    concurrent: false,
    userfaultfd: kind,
    reason: `the concurrent collector cannot run: ${id}: ${finding.found}`,
    missing: lost.map((row) => row.id),
    repair: finding.repair ?? null,
  };
}

function countCpus(kernel: Kernel | undefined): number {
  try {
    if (kernel !== undefined) return allowedCpus(kernel).length;
  } catch {
    // The row cpu-affinity says why.
  }
  return availableParallelism();
}
