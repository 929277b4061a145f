// What really runs, and why it is not what was asked for where it is not. Nothing falls back in silence: what a heap does without is
// either an error when it is created, or a sentence here.

import { TospaceError } from '../errors.ts';
import type { Geometry } from '../heap/geometry.ts';
import { GIB, STEERED_RESIDUE } from '../heap/geometry.ts';
import { COLLECTOR, CTL_PAUSE_PRIORITY, W_CPU } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import { allowedCpus, errnoName, type Kernel, Userfaultfd, type UserfaultfdKind } from '../uffd/index.ts';
import type { CollectorName, PlannedOptions, ResolvedOptions } from './options.ts';

export interface HeapMode {
  readonly collector: CollectorName;
  /** How built pages reach mutators; `none` where no page is ever missing. */
  readonly fill: 'continue' | 'copy' | 'none';
  /** The kind that is open; `none` where the collector needs none. */
  readonly userfaultfd: UserfaultfdKind | 'none';
  readonly retention: 'recycle' | 'release' | 'none';
  /** Threads that serve faults. */
  readonly servers: number;
  /** Whether servers are kept on the CPUs of mutators; `none` where there are no servers. */
  readonly placement: 'mutator' | 'any' | 'none';
  /** Whether threads run under a real-time policy in short pauses; `none` where there are no such pauses. */
  readonly pausePriority: 'raised' | 'kept' | 'none';
  /** Bytes of address space that one step of a flip moves: 1 GiB, or 2 MiB, which takes longer in the pause. */
  readonly moveBytes: { readonly heap: number; readonly nonMoving: number };
  /** Why something above is not what the options ask for, or not what is fastest: a sentence each. Empty in the best case. */
  readonly reasons: readonly string[];
}

/** What was found out when the heap was created. Can be posted. */
export interface StartMode {
  readonly userfaultfd: UserfaultfdKind | 'none';
  readonly reasons: readonly string[];
}

export interface Opened {
  readonly options: ResolvedOptions;
  readonly uffd: Userfaultfd | undefined;
  readonly mode: StartMode;
}

/** Errors that say that this machine gives no userfaultfd, whatever we do. */
const NOT_HERE = ['ERR_PERMISSION', 'ERR_UNSUPPORTED'];

/**
 * Opens what the collector needs, and decides on `auto`.
 * @throws TospaceError as Userfaultfd.open; where the collector is `auto` only what is neither ERR_PERMISSION nor ERR_UNSUPPORTED
 */
export function openUserfaultfd(kernel: Kernel, planned: PlannedOptions): Opened {
  const { collector } = planned;
  if (collector !== 'concurrent' && collector !== 'auto') {
    const options = Object.freeze({ ...planned, collector });
    return { options, uffd: undefined, mode: { userfaultfd: 'none', reasons: [] } };
  }
  try {
    const uffd = Userfaultfd.open(kernel, { kind: planned.userfaultfd });
    const options = Object.freeze({ ...planned, collector: 'concurrent' as const });
    return { options, uffd, mode: { userfaultfd: uffd.kind, reasons: kindReasons(uffd) } };
  } catch (error) {
    if (collector !== 'auto' || !(error instanceof TospaceError) || !NOT_HERE.includes(error.code))
      throw error;
    const options = Object.freeze({ ...planned, collector: 'stop-the-world' as const });
    const reason = `collector is stop-the-world, because collector=auto and there is no userfaultfd: ${error.message}. ${error.hint}`;
    return { options, uffd: undefined, mode: { userfaultfd: 'none', reasons: [reason] } };
  }
}

function kindReasons({ kind, refused }: Userfaultfd): string[] {
  return kind === 'full' || refused.length === 0
    ? []
    : [
        `userfaultfd is user-mode-only, because the full kind was refused (${refused.join(', ')}): system calls must not touch moving objects`,
      ];
}

export interface ModeFacts {
  readonly kernel: Kernel;
  readonly tables: Tables;
  readonly workers: number;
  readonly options: ResolvedOptions;
  readonly start: StartMode;
}

/** The mode at this moment: whether servers can be placed is known only when it was tried. */
export function readMode({ kernel, tables, workers, options, start }: ModeFacts): HeapMode {
  const { collector } = options;
  const concurrent = collector === 'concurrent';
  const reasons = [...start.reasons];
  let placement: HeapMode['placement'] = concurrent ? options.placement : 'none';
  if (placement === 'mutator') {
    const why = unplaced(kernel, tables, workers);
    if (why !== undefined) {
      placement = 'any';
      reasons.push(`placement is any, because ${why}`);
    }
  }
  const raised = tables.control[CTL_PAUSE_PRIORITY]!;
  if (concurrent && options.pausePriority !== 'keep' && raised !== 1) reasons.push(unraised(raised, options));
  if (collector !== 'none') reasons.push(...windowReasons(tables.geometry));
  return {
    collector,
    fill: concurrent ? options.fill : 'none',
    userfaultfd: start.userfaultfd,
    retention: collector === 'none' ? 'none' : options.retention,
    servers: concurrent ? workers - 1 : 0,
    placement,
    pausePriority: concurrent ? (raised === 1 ? 'raised' : 'kept') : 'none',
    moveBytes: { heap: tables.geometry.alignBytes, nonMoving: tables.geometry.nonMovingAlignBytes },
    reasons,
  };
}

/** Why servers are not kept where mutators are. */
function unplaced(kernel: Kernel, tables: Tables, workers: number): string | undefined {
  for (let worker = COLLECTOR + 1; worker < workers; worker++) {
    const cpu = Atomics.load(tables.workers[worker]!, W_CPU);
    if (cpu < 0) return `a fault server could not be moved to a CPU: ${errnoName(cpu)}`;
  }
  try {
    return allowedCpus(kernel).length < 2 ? 'the process may run on one CPU only' : undefined;
  } catch (error) {
    return `the CPUs of the process are not known: ${(error as Error).message}`;
  }
}

function unraised(errno: number, { verify }: ResolvedOptions): string {
  const why =
    verify !== 'off'
      ? 'a verifier makes pauses long'
      : errno === 0
        ? 'the collector runs under a scheduling policy of its own'
        : `the kernel refused it (${errnoName(errno)}): it takes CAP_SYS_NICE`;
  return `threads keep their priority in pauses, because ${why}`;
}

function windowReasons({ alignBytes, nonMovingAlignBytes, memoryAddress }: Geometry): string[] {
  const why =
    memoryAddress % GIB === STEERED_RESIDUE
      ? 'spaces of this size leave no room on a 1 GiB boundary of the address space'
      : 'the memory could not be had just below a 1 GiB boundary of the address space';
  return [
    ...(alignBytes < GIB ? [`flips move the heap in steps of 2 MiB, because ${why}`] : []),
    ...(nonMovingAlignBytes < GIB ? [`flips hide pinned objects in steps of 2 MiB, because ${why}`] : []),
  ];
}
