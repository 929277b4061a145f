// Builds everything, starts the threads in the right order, and takes it all down again.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  createLibcKernel,
  decodeError,
  type InjectionPlan,
  type Kernel,
  StopSignal,
  TospaceError,
  Userfaultfd,
} from 'tospace/uffd';
import { fitSizes } from '../support/memory.ts';
import { writeSize } from '../support/sizes.ts';
import { adoptArena, createArena, type OwnedArena } from './arena.ts';
import { readCorpus } from './content.ts';
import { failStop } from './fail-stop.ts';
import { checkOptions, type SwapOptions } from './options.ts';
import { RegionTable } from './region.ts';
import {
  type Counts,
  type EvictionError,
  Monitor,
  type MutatorResult,
  type Progress,
  type SwapReport,
} from './report.ts';
import {
  CONTROL_PHASE,
  CONTROL_STOP,
  createShared,
  type EvictorMessage,
  MUTATORS,
  type MutatorData,
  type PagerData,
  Phase,
  type SharedBuffers,
} from './shared.ts';
import { isInMemory, SwapFile } from './swap-file.ts';

const PROGRESS_MS = 1000;
const POLL_MS = 50;
/** Part of the resident target that mutators use all the time. */
const WINDOW_PART = 0.5;
/** What mutators remember of each record, and the table of regions, besides the memory itself. */
const MEMORY_FACTOR = 1.05;

/** What happens while it runs. */
export interface SwapListener {
  onNote?(text: string): void;
  onProgress?(progress: Progress): void;
  onEvictionError?(error: EvictionError): void;
  /** Asked when the time is over, again and again: false to let mutators run on. For tests that wait for something to happen. */
  mayEnd?(counts: Counts): boolean;
}

/**
 * Runs the example once.
 * @param injection faults for the kernels of the threads `evictor` and `server`, for tests
 * @throws TospaceError for what cannot be set up. A failure of the pager's threads later ends the process (fail-stop.ts)
 */
export async function runSwap(
  options: SwapOptions,
  listener: SwapListener = {},
  injection: InjectionPlan = [],
): Promise<SwapReport> {
  checkOptions(options);
  checkMemory(options.anonBytes + options.shmemBytes);
  const kernel = createLibcKernel();
  const owned: Disposable[] = [];
  const own = <T extends Disposable>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  try {
    const file = own(
      options.file === undefined
        ? SwapFile.createTemporary(kernel, options.directory)
        : SwapFile.open(kernel, options.file),
    );
    if (options.file === undefined && isInMemory(options.directory))
      listener.onNote?.(`${options.directory} is memory itself (tmpfs): only compression saves any`);
    const arenas: OwnedArena[] = [];
    for (const [kind, bytes] of [
      ['anon', options.anonBytes],
      ['shmem', options.shmemBytes],
    ] as const) {
      if (bytes > 0) arenas.push(own(createArena(kernel, kind, bytes, options.regionBytes)));
    }
    // After the arenas, so that it is closed before their memory goes: nobody may be watched without a server.
    const uffd = own(Userfaultfd.open(kernel));
    const stop = own(StopSignal.create(kernel));
    const table = RegionTable.create((options.anonBytes + options.shmemBytes) / options.regionBytes);
    const shared = createShared(table.buffer, readCorpus());
    const descriptions = arenas.map(({ description }) => description);
    const pagerData: PagerData = {
      shared,
      arenas: descriptions,
      uffd: { fd: uffd.fd, kind: uffd.kind, features: uffd.features },
      fileFd: file.fd,
      codec: options.codec,
      residentBytes: options.residentBytes,
      fileLimitBytes: options.fileLimitBytes,
      stopFd: stop.fd,
      injection,
    };
    const monitor = new Monitor(options, uffd.kind, shared, table, file);

    const mutators = Array.from({ length: MUTATORS }, (_, mutator) =>
      startThread(kernel, 'mutator', {
        shared,
        arenas: descriptions,
        mutator,
        seed: options.seed,
        windowBytes: (options.residentBytes * WINDOW_PART) / arenas.length,
      } satisfies MutatorData),
    );
    await Promise.all(mutators.map(({ worker }) => once(worker, 'message')));
    monitor.filled();
    // All pages are there: from now on a fault can only mean that one was taken away.
    for (const description of descriptions) {
      const arena = adoptArena(kernel, description);
      uffd.register(description.home, description.bytes, arena.registerMode);
    }
    const server = startThread(kernel, 'server', pagerData);
    await once(server.worker, 'message');
    const evictor = startThread(kernel, 'evictor', pagerData);
    const evicting = once(evictor.worker, 'message');
    evictor.worker.on('message', (message: EvictorMessage) => {
      if (message === 'ready') return;
      const { evictionError, broughtBack } = message;
      const error = decodeError(evictionError);
      listener.onEvictionError?.(monitor.failed(error, broughtBack));
    });
    // The clock starts when somebody takes regions away, however long a thread takes to start.
    await evicting;

    setPhase(shared, Phase.RUN);
    monitor.started();
    const results = mutators.map(({ worker }) => once(worker, 'message') as Promise<[MutatorResult]>);
    const timer = setInterval(() => listener.onProgress?.(monitor.progress()), PROGRESS_MS);
    try {
      await sleep(options.seconds * 1000);
      while (listener.mayEnd?.(monitor.counts()) === false) await sleep(POLL_MS);
      monitor.ran();
      for (const thread of mutators) thread.mayEnd = true;
      setPhase(shared, Phase.VERIFY);
      const mutatorResults = (await Promise.all(results)).map(([result]) => result);
      await Promise.all(mutators.map(({ ended }) => ended));
      monitor.verified(mutatorResults);
    } finally {
      clearInterval(timer);
    }
    // The evictor first: it may have regions in the shadow, and only it knows.
    evictor.mayEnd = true;
    const control = new Int32Array(shared.control);
    Atomics.store(control, CONTROL_STOP, 1);
    Atomics.notify(control, CONTROL_STOP);
    await evictor.ended;
    server.mayEnd = true;
    stop.signal();
    await server.ended;
    return monitor.report();
  } finally {
    for (let thing = owned.pop(); thing !== undefined; thing = owned.pop()) thing[Symbol.dispose]();
  }
}

/** Everything is filled before anything is evicted, and who runs out of memory then is killed without a word. */
function checkMemory(bytes: number): void {
  const { cut } = fitSizes([bytes], MEMORY_FACTOR);
  for (const { reason } of cut) {
    throw new TospaceError('ERR_OUT_OF_MEMORY', `a memory of ${writeSize(bytes)} ${reason}`, {
      hint: 'Name smaller --anon and --shmem, or give the process more memory: it is filled before anything is evicted.',
    });
  }
}

function setPhase(shared: SharedBuffers, phase: number): void {
  const control = new Int32Array(shared.control);
  Atomics.store(control, CONTROL_PHASE, phase);
  Atomics.notify(control, CONTROL_PHASE);
}

interface Thread {
  readonly worker: Worker;
  readonly ended: Promise<void>;
  /** Whether it was asked to end. */
  mayEnd: boolean;
}

/** A thread whose unexpected end is that of the process, because somebody may wait for what only it could do. */
function startThread(
  kernel: Kernel,
  name: 'mutator' | 'server' | 'evictor',
  workerData: MutatorData | PagerData,
): Thread {
  const worker = new Worker(new URL(`./${name}.js`, import.meta.url), { workerData, name });
  worker.on('error', (e) => failStop(kernel, name, e));
  let resolveEnded!: () => void;
  const ended = new Promise<void>((resolve) => {
    resolveEnded = resolve;
  });
  const thread: Thread = { worker, ended, mayEnd: false };
  worker.on('exit', (status) => {
    if (status === 0 && thread.mayEnd) resolveEnded();
    else failStop(kernel, name, new TospaceError('ERR_WORKER', `the thread ended, with status ${status}`));
  });
  return thread;
}
