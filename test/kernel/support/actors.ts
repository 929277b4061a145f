// Threads that fault, or that block in a system call, on command. The test commands them and waits for them synchronously, so a
// case reads from top to bottom. A thread that is blocked in a fault cannot be terminated: whoever watches the memory must
// be closed first, which lets every blocked thread go.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll } from 'vitest';

// control: Int32 [state (0 starting, 1 ready, 2 posted, 3 done), operation, thread id];
// numbers: Float64 [argument count, result, arguments …], exact below 2^53.
const STATE = 0;
const OPERATION = 1;
const THREAD_ID = 2;
const POSTED = 2;
const DONE = 3;
const LOAD = 0;
const STORE = 1;
const SYSCALL = 2;

/** Long enough for any machine: only a case that has failed waits so long. */
const PATIENCE_MS = 10_000;
/** How long something must not happen for a case to believe that it will not: too short a time can only let a failure pass. */
const BLOCKED_MS = 40;
const MAIN_BLOCKED_MAX_MS = 25_000;

const all = new Set<Actor>();

/** A command that was given to an {@link Actor}. */
export interface Pending {
  /** Waits for the end of the command. Throws when it does not come. */
  result(): number;
  /** Whether the command has not ended, and does not end within a moment. */
  isBlocked(): boolean;
}

export class Actor {
  readonly #control: Int32Array = new Int32Array(new SharedArrayBuffer(12));
  readonly #numbers: Float64Array = new Float64Array(new SharedArrayBuffer(8 * 10));
  readonly #worker: Worker;

  constructor() {
    this.#worker = new Worker(new URL('./actor-thread.mjs', import.meta.url), {
      workerData: { control: this.#control, numbers: this.#numbers },
      execArgv: [],
    });
    all.add(this);
    // Without a listener it would end the test process without a word about which thread it was.
    this.#worker.on('error', (e) => {
      throw e;
    });
  }

  /** Reads the 32-bit word at an address, by a load instruction. */
  load(address: number): Pending {
    return this.#post(LOAD, [address]);
  }

  /** Writes it, by a store instruction. */
  store(address: number, value: number): Pending {
    return this.#post(STORE, [address, value]);
  }

  /** Makes a system call of up to six arguments. Its result is that of `kernel.syscall`. */
  syscall(number: number, ...args: readonly number[]): Pending {
    return this.#post(SYSCALL, [number, ...args]);
  }

  /** The kernel's id of the thread. */
  get tid(): number {
    if (!this.#waitUntil((state) => state !== 0, PATIENCE_MS)) throw new Error('an actor did not start');
    return Atomics.load(this.#control, THREAD_ID);
  }

  /** What the thread is doing, as /proc tells: R running, S sleeping, D sleeping and deaf to signals. */
  get threadState(): string {
    const stat = readFileSync(`/proc/self/task/${this.tid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0]!;
  }

  /** Whether the thread comes to be in one of the states, given time. */
  becomes(states: string): boolean {
    return waitFor(() => states.includes(this.threadState));
  }

  /** Whether the thread comes to be inside a system call, given time. */
  entersSyscall(number: number): boolean {
    return waitFor(() =>
      readFileSync(`/proc/self/task/${this.tid}/syscall`, 'utf8').startsWith(`${number} `),
    );
  }

  /** Whether a command has not ended. */
  get isBusy(): boolean {
    return Atomics.load(this.#control, STATE) === POSTED;
  }

  /** Ends the thread; it must not be blocked. */
  async end(): Promise<void> {
    if (this.isBusy && !this.#waitUntil((state) => state !== POSTED, PATIENCE_MS))
      throw new Error('an actor is blocked for ever');
    // Waits for it to have started: a thread that is terminated while it loads a native module takes the process with it.
    void this.tid;
    all.delete(this);
    await this.#worker.terminate();
  }

  #post(operation: number, args: readonly number[]): Pending {
    void this.tid; // waits for the thread to be ready
    if (this.isBusy) throw new Error('the actor is busy');
    this.#numbers.set([args.length, 0, ...args]);
    Atomics.store(this.#control, OPERATION, operation);
    Atomics.store(this.#control, STATE, POSTED);
    Atomics.notify(this.#control, STATE);
    return {
      result: () => {
        if (!this.#waitUntil((state) => state === DONE, PATIENCE_MS)) throw new Error('the actor is blocked');
        return this.#numbers[1]!;
      },
      isBlocked: () => !this.#waitUntil((state) => state === DONE, BLOCKED_MS),
    };
  }

  #waitUntil(holds: (state: number) => boolean, timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const state = Atomics.load(this.#control, STATE);
      if (holds(state)) return true;
      const left = deadline - performance.now();
      if (left <= 0) return false;
      Atomics.wait(this.#control, STATE, state, left);
    }
  }
}

/**
 * Whether every actor has ended what it was doing, given time. Memory that one of them may still touch must not be unmapped:
 * that would end the process.
 */
export function actorsAreIdle(): boolean {
  return waitFor(() => [...all].every((actor) => !actor.isBusy));
}

/** Actors for all cases of a file, and the watchdog over them. The array is filled when the cases run. */
export function useActors(count: number): readonly Actor[] {
  const actors: Actor[] = [];
  let stopWatchdog: (() => Promise<void>) | undefined;
  beforeAll(() => {
    stopWatchdog = startWatchdog();
    for (let i = 0; i < count; i++) actors.push(new Actor());
  });
  afterAll(async () => {
    try {
      await Promise.all(actors.map((actor) => actor.end()));
    } finally {
      // Its timer would keep the process for ever.
      await stopWatchdog?.();
    }
  });
  return actors;
}

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread for a while. */
export function sleep(ms: number): void {
  Atomics.wait(nobody, 0, 0, ms);
}

/** Whether something comes to hold, given time. */
export function waitFor(holds: () => boolean, timeoutMs: number = PATIENCE_MS): boolean {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) return false;
    sleep(1);
  }
  return true;
}

/** Ends the process when its main thread is stuck. The result stops the watch. */
export function startWatchdog(): () => Promise<void> {
  const beat = new Int32Array(new SharedArrayBuffer(4));
  const started = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('./watchdog.mjs', import.meta.url), {
    workerData: { beat, started, limitMs: MAIN_BLOCKED_MAX_MS },
    execArgv: [],
  });
  const timer = setInterval(() => {
    Atomics.add(beat, 0, 1);
    Atomics.notify(beat, 0);
  }, 1000);
  return async () => {
    clearInterval(timer);
    // As for an actor.
    waitFor(() => Atomics.load(started, 0) === 1);
    await worker.terminate();
  };
}
