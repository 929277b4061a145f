// Every knob of a heap: one object, one table of defaults, checked at the boundary.

import { availableParallelism } from 'node:os';
import { inspect } from 'node:util';
import { TospaceError } from '../errors.ts';
import { alignUp, GIB, KIB, MIB, MIN_HEAP_BYTES } from '../heap/geometry.ts';
import { PAGE_BYTES } from '../heap/layout.ts';
import type { InjectionPlan } from '../uffd/index.ts';

export type CollectorName = 'concurrent' | 'stop-the-world' | 'none';

/** Phases at which stress can hold the collector up. `install` is before every installation of a run of pages. */
export type DelayPoint = 'mark' | 'remark' | 'plan' | 'flip' | 'compact' | 'batch' | 'install' | 'close';

/** Ways to make rare interleavings common. For tests; every member is off by default. */
export interface StressOptions {
  /** Collect at every n-th allocation. */
  readonly collectEveryAllocation?: number;
  /** Collect at every n-th explicit safepoint. */
  readonly collectEverySafepoint?: number;
  /** Milliseconds the collector sleeps when it reaches a point. */
  readonly delayMs?: Readonly<Partial<Record<DelayPoint, number>>>;
  /** Per cent by which marking takes longer than it does, 0 to 1 000: a regression to look for. */
  readonly slowMark?: number;
  /** The to-space page before whose installation `delayMs.install` strikes; default: every one. */
  readonly delayedPage?: number;
  /** Entries of the mark stack: a tiny one makes marking overflow. */
  readonly markStackEntries?: number;
  /** System calls that fail or are delayed. */
  readonly injection?: InjectionPlan;
  /** Throw in the named worker when it reaches the point: what happens when a worker dies. */
  readonly crash?: {
    readonly worker: 'collector' | 'server';
    readonly at: DelayPoint | 'fault';
    readonly how: 'throw' | 'exit';
  };
}

export interface HeapOptions {
  /** Capacity of the moving space in bytes: a multiple of 4 KiB from 256 KiB to about 1.2 GiB. Default 256 MiB. */
  readonly heapBytes?: number;
  /**
   * Capacity in bytes of the space for pinned and large objects, a multiple of 4 KiB. Besides `heapBytes`; takes memory as it is used.
   * Default: a quarter of `heapBytes`, between 4 and 256 MiB (a sixteenth above 1 GiB, where address space is short), and room for all
   * persistent handles.
   */
  readonly nonMovingBytes?: number;
  /**
   * Arrays of at least so many bytes, header included, are allocated in the non-moving space while it has room: they are not copied at
   * every cycle. 4096 to 2^31. Default 128 KiB.
   */
  readonly largeObjectBytes?: number;
  /** `concurrent` compacts behind the program's back, `stop-the-world` in one pause, `none` never. Default `concurrent`. */
  readonly collector?: CollectorName;
  /**
   * How a built page reaches mutators: `continue` builds it in the shadow and maps it (UFFDIO_CONTINUE), `copy` builds it in a buffer
   * and copies it (UFFDIO_COPY). Default `continue`.
   */
  readonly fill?: 'continue' | 'copy';
  /**
   * What becomes of from-space: `recycle` keeps its pages for the cycle after the next (twice the memory, the fastest), `release` gives
   * them back to the system behind the sweep. Default `recycle`; `copy` needs `release`.
   */
  readonly retention?: 'recycle' | 'release';
  /**
   * Fault servers, 1 to 15. Faults of several threads at once wait for each other where there are fewer servers than that. Default `auto`:
   * one CPU less than there are, at least 1 and at most 4.
   */
  readonly servers?: number | 'auto';
  /** `mutator` keeps a fault server on the CPU of a mutator, whose CPU is free while it faults; `any` leaves it to the kernel. */
  readonly placement?: 'mutator' | 'any';
  /**
   * Bytes that the heap keeps for itself without need: a multiple of 4 KiB from 256 KiB to `heapBytes`. Between the two it grows and
   * shrinks as the program needs. Default 32 MiB, or `heapBytes` where that is less.
   */
  readonly minHeapBytes?: number;
  /** Part of the heap that live data should fill at most, 0.1 to 0.95, as long as there is capacity. Default 0.6. */
  readonly targetUtilisation?: number;
  /**
   * When cycles begin. `auto`: when what is left is just enough for what will be allocated while the cycle runs. A number, 0.05 to 0.95:
   * when this part of the room left by the last cycle is allocated; the heap's size is then fixed. Default `auto`.
   */
  readonly trigger?: 'auto' | number;
  /**
   * Milliseconds without allocation, and with all threads in safe regions, after which the heap collects once and gives memory back;
   * 0 is never. Only where `trigger` is `auto`. Default 5 000.
   */
  readonly idleCollectMs?: number;
  /** Check the heap at every phase boundary, every page before it is installed, and every operation of a mutator. Slow. */
  readonly verify?: boolean;
  /** `cycles` writes a line for each cycle to standard error, in Android's form (see formatCycle). Default `none`. */
  readonly log?: 'none' | 'cycles';
  /** Which kind of userfaultfd to open. Default `auto`: the full kind when allowed. */
  readonly userfaultfd?: 'auto' | 'full' | 'user-mode-only';
  /** Persistent handles that may exist at a time. Default 65 536. */
  readonly persistentSlots?: number;
  /** Bytes for reference maps of record types: 8 for every 64 words up to the last reference. Default 1 MiB. */
  readonly typeMapBytes?: number;
  /** Milliseconds after which a mutator that does not reach a safepoint is reported on standard error. Default 5 000. */
  readonly safepointWarnMs?: number;
  /**
   * Milliseconds after which a collection that waits for such a mutator is given up: the heap stays as it was, whoever asked for the
   * collection is told by ERR_TIMEOUT which thread it was, and the others run on. 0 is never. Default 30 000.
   */
  readonly safepointTimeoutMs?: number;
  readonly stress?: StressOptions;
}

/** What really runs: `servers` is a number here. */
export type ResolvedOptions = Required<Omit<HeapOptions, 'servers'>> & { readonly servers: number };

/**
 * The most servers that `auto` starts. A server beyond the number of CPUs only takes their time, and each costs a thread with an isolate
 * of its own.
 */
const AUTO_SERVERS_MAX = 4;

/** On two CPUs one server is as fast as two with up to four threads that fault: they share one CPU, and the collector has the other. */
function autoServers(): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), AUTO_SERVERS_MAX);
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Options whose default depends on other options. */
type Dependent = 'retention' | 'nonMovingBytes' | 'minHeapBytes';

export const DEFAULT_OPTIONS: Readonly<Omit<ResolvedOptions, Dependent>> = Object.freeze({
  heapBytes: 256 * MIB,
  largeObjectBytes: 128 * KIB,
  collector: 'concurrent',
  fill: 'continue',
  servers: autoServers(),
  placement: 'mutator',
  targetUtilisation: 0.6,
  trigger: 'auto',
  idleCollectMs: 5000,
  verify: false,
  log: 'none',
  userfaultfd: 'auto',
  persistentSlots: 65536,
  typeMapBytes: MIB,
  safepointWarnMs: 5000,
  safepointTimeoutMs: 30_000,
  stress: Object.freeze({}),
});

/** Default of minHeapBytes: some cycles a second of a fast program, and little to a process that runs Node.js. */
const MIN_BYTES = 32 * MIB;

const DELAY_POINTS: readonly string[] = [
  'mark',
  'remark',
  'plan',
  'flip',
  'compact',
  'batch',
  'install',
  'close',
];

function bad(key: string, value: unknown, rule: string): TospaceError {
  return new TospaceError(
    'ERR_OPTION',
    `option ${key}: ${inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY })} is not allowed`,
    { hint: `${key} must be ${rule}.` },
  );
}

function integer(
  options: Record<string, unknown>,
  key: string,
  low: number,
  high: number,
  multiple = 1,
): void {
  const value = options[key];
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < low ||
    value > high ||
    value % multiple !== 0
  ) {
    throw bad(
      key,
      value,
      `an integer from ${low} to ${high}${multiple > 1 ? ` and a multiple of ${multiple}` : ''}`,
    );
  }
}

function oneOf(options: Record<string, unknown>, key: string, allowed: readonly string[]): void {
  if (!allowed.includes(options[key] as string)) throw bad(key, options[key], `one of ${allowed.join(', ')}`);
}

/** Smallest non-moving space: the array of persistent handles takes some of it. */
const MIN_NON_MOVING_BYTES: number = 64 * KIB;

function defaultNonMovingBytes({ heapBytes, persistentSlots }: ResolvedOptions): number {
  const part = heapBytes > GIB ? heapBytes / 16 : Math.min(Math.max(heapBytes / 4, 4 * MIB), 256 * MIB);
  return alignUp(part, PAGE_BYTES) + alignUp(persistentSlots * 4, PAGE_BYTES);
}

/**
 * Fills in the defaults and checks every value.
 * @throws TospaceError ERR_OPTION that names the key and what it may be.
 */
export function resolveOptions(given: HeapOptions = {}): ResolvedOptions {
  if (typeof given !== 'object' || given === null) {
    throw new TospaceError(
      'ERR_OPTION',
      `options must be an object, not ${given === null ? 'null' : typeof given}`,
    );
  }
  const known = new Set([...Object.keys(DEFAULT_OPTIONS), 'retention', 'nonMovingBytes', 'minHeapBytes']);
  for (const key of Object.keys(given)) {
    if (!known.has(key)) {
      throw new TospaceError('ERR_OPTION', `there is no option ${key}`, {
        hint: `Options are ${[...known].join(', ')}.`,
      });
    }
  }
  // An explicit undefined means the default, as in any options object.
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options = {
    ...DEFAULT_OPTIONS,
    retention: given.fill === 'copy' ? 'release' : 'recycle',
    ...present,
    ...(given.servers === 'auto' ? { servers: DEFAULT_OPTIONS.servers } : {}),
  } as Mutable<ResolvedOptions>;
  const loose = options as unknown as Record<string, unknown>;
  integer(loose, 'heapBytes', MIN_HEAP_BYTES, 1.25 * GIB, PAGE_BYTES);
  if (options.minHeapBytes === undefined) options.minHeapBytes = Math.min(MIN_BYTES, options.heapBytes);
  integer(loose, 'minHeapBytes', MIN_HEAP_BYTES, options.heapBytes, PAGE_BYTES);
  integer(loose, 'idleCollectMs', 0, 2 ** 31);
  oneOf(loose, 'collector', ['concurrent', 'stop-the-world', 'none']);
  oneOf(loose, 'fill', ['continue', 'copy']);
  oneOf(loose, 'retention', ['recycle', 'release']);
  integer(loose, 'servers', 1, 15);
  oneOf(loose, 'log', ['none', 'cycles']);
  oneOf(loose, 'placement', ['mutator', 'any']);
  oneOf(loose, 'userfaultfd', ['auto', 'full', 'user-mode-only']);
  integer(loose, 'persistentSlots', 1, 2 ** 24);
  if (loose.nonMovingBytes === undefined) loose.nonMovingBytes = defaultNonMovingBytes(options);
  integer(loose, 'nonMovingBytes', MIN_NON_MOVING_BYTES, GIB, PAGE_BYTES);
  integer(loose, 'largeObjectBytes', PAGE_BYTES, 2 ** 31);
  integer(loose, 'typeMapBytes', 4 * KIB, 64 * MIB, PAGE_BYTES);
  integer(loose, 'safepointWarnMs', 1, 2 ** 31);
  integer(loose, 'safepointTimeoutMs', 0, 2 ** 31);
  if (typeof options.verify !== 'boolean') throw bad('verify', options.verify, 'true or false');
  const { trigger, targetUtilisation } = options;
  if (trigger !== 'auto' && !(typeof trigger === 'number' && trigger >= 0.05 && trigger <= 0.95)) {
    throw bad('trigger', trigger, "'auto' or a number from 0.05 to 0.95");
  }
  if (!(typeof targetUtilisation === 'number' && targetUtilisation >= 0.1 && targetUtilisation <= 0.95)) {
    throw bad('targetUtilisation', targetUtilisation, 'a number from 0.1 to 0.95');
  }
  if (options.fill === 'copy' && options.retention === 'recycle') {
    throw bad(
      'retention',
      'recycle',
      "'release' with fill 'copy': UFFDIO_COPY cannot install over a page that is kept in the memfd",
    );
  }
  checkStress(options.stress);
  return Object.freeze({ ...options, stress: Object.freeze({ ...options.stress }) });
}

function checkStress(stress: StressOptions): void {
  if (typeof stress !== 'object' || stress === null) throw bad('stress', stress, 'an object');
  const present = Object.fromEntries(Object.entries(stress).filter(([, value]) => value !== undefined));
  const loose: Record<string, unknown> = {
    collectEveryAllocation: 0,
    collectEverySafepoint: 0,
    markStackEntries: 64,
    delayedPage: 0,
    slowMark: 0,
    ...present,
  };
  for (const key of Object.keys(stress)) {
    if (
      ![
        'collectEveryAllocation',
        'collectEverySafepoint',
        'delayMs',
        'delayedPage',
        'markStackEntries',
        'slowMark',
        'injection',
        'crash',
      ].includes(key)
    ) {
      throw new TospaceError('ERR_OPTION', `there is no option stress.${key}`, {
        hint: 'See StressOptions.',
      });
    }
  }
  integer(loose, 'collectEveryAllocation', 0, 2 ** 31);
  integer(loose, 'collectEverySafepoint', 0, 2 ** 31);
  integer(loose, 'markStackEntries', 8, 2 ** 28);
  integer(loose, 'delayedPage', 0, 2 ** 20);
  integer(loose, 'slowMark', 0, 1000);
  const { delayMs = {}, injection = [], crash } = stress;
  if (typeof delayMs !== 'object' || delayMs === null) throw bad('stress.delayMs', delayMs, 'an object');
  if (!Array.isArray(injection)) throw bad('stress.injection', injection, 'a list of rules');
  if (
    crash !== undefined &&
    !(
      ['collector', 'server'].includes(crash?.worker) &&
      [...DELAY_POINTS, 'fault'].includes(crash.at) &&
      ['throw', 'exit'].includes(crash.how)
    )
  ) {
    throw bad(
      'stress.crash',
      crash,
      "{ worker: 'collector' or 'server', at: a point, how: 'throw' or 'exit' }",
    );
  }
  for (const [point, ms] of Object.entries(delayMs)) {
    if (!DELAY_POINTS.includes(point))
      throw bad(`stress.delayMs.${point}`, ms, `named one of ${DELAY_POINTS.join(', ')}`);
    if (typeof ms !== 'number' || !(ms >= 0 && ms <= 60000))
      throw bad(`stress.delayMs.${point}`, ms, 'milliseconds from 0 to 60 000');
  }
}

/** Entries of the mark stack for a heap: one for every 64 bytes up to 4 M; deeper graphs overflow into dirty cards. */
export function markStackEntries(options: ResolvedOptions): number {
  return options.stress.markStackEntries ?? Math.min(Math.max(options.heapBytes / 64, 16 * KIB), 4 * MIB);
}
