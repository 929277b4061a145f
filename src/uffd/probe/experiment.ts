// What an experiment is: a row of the report before it has an answer. The tables of experiments are in the files beside this one, one
// per subject; catalogue.ts puts them in order.
import { TospaceError } from '../../errors.ts';
import { EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP, errnoName } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { ProbeHost } from './host.ts';
import type { ProbeGroup, ProbeRow, ProbeStatus } from './report.ts';

/** The answer of an experiment. */
export interface Finding {
  readonly status: ProbeStatus;
  readonly found: string;
  readonly repair?: string | undefined;
  readonly values?: ProbeRow['values'];
}

/** What experiments work with. */
export interface Lab {
  readonly kernel: Kernel;
  readonly host: ProbeHost;
  /** Only what decides the verdict is wanted, fast: nothing that is read merely to be shown. */
  readonly quick: boolean;
}

export interface Experiment {
  /** Stable; words with hyphens. */
  readonly id: string;
  readonly gives: string;
  readonly without: string;
  /** The concurrent collector needs it. Required experiments are the quick ones: microseconds each. */
  readonly required?: true;
  /** The Linux release that brought it, for the advice where the kernel does not know it. Decides nothing. */
  readonly since?: string;
  /** Ids of experiments before this one without which it cannot be tried. */
  readonly needs?: readonly string[];
  /** Answers, or throws: a thrown error is the answer `missing`. Leaves nothing behind. Blocks never: it must take no fault itself. */
  readonly run: (lab: Lab) => Finding;
}

/** Experiments of one part of the report. */
export interface ExperimentGroup {
  readonly group: ProbeGroup;
  readonly experiments: readonly Experiment[];
}

export const ok = (found: string, values?: ProbeRow['values']): Finding => ({
  status: 'ok',
  found,
  ...(values && { values }),
});
export const limited = (found: string, repair?: string, values?: ProbeRow['values']): Finding => ({
  status: 'limited',
  found,
  repair,
  ...(values && { values }),
});
export const missing = (found: string, repair?: string, values?: ProbeRow['values']): Finding => ({
  status: 'missing',
  found,
  repair,
  ...(values && { values }),
});
export const info = (found: string, values?: ProbeRow['values']): Finding => ({
  status: 'info',
  found,
  ...(values && { values }),
});

/** Errors with which kernels answer what they do not know. */
const UNKNOWN_TO_KERNEL: ReadonlySet<number> = new Set([EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP]);

/** The answer that an error is. */
export function failed(error: unknown, since?: string): Finding {
  if (!(error instanceof TospaceError))
    return missing(error instanceof Error ? error.message : String(error));
  const { errno, errnoName: name } = error;
  const old = since !== undefined && errno !== undefined && UNKNOWN_TO_KERNEL.has(errno);
  const repair = old ? `boot ${since} or later` : undefined;
  return missing(`${error.message}. ${error.hint}`, repair, name === undefined ? {} : { errno: name });
}

/** How a call ended, in words. */
export const outcome = (result: number): string => (result < 0 ? errnoName(result) : 'success');

/** What a kernel does that it should not: the experiment's own way to fail. */
export function contradiction(message: string): TospaceError {
  return new TospaceError('ERR_UNSUPPORTED', message, {
    hint: 'This kernel (or emulation of one) does not keep a rule that the heap relies on.',
  });
}
