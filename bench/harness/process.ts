// One measured process: started, watched, and ended if it does not end by itself. Nothing here may wait for ever.

import { type ChildProcess, spawn } from 'node:child_process';

/** What is kept of a process' output. What it says last is why it failed. */
const STDERR_BYTES_MAX = 8 * 1024;
const STDOUT_BYTES_MAX = 1024 * 1024;

export interface ProcessResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  /** Ended because the signal said so: nothing that it did counts. */
  readonly aborted: boolean;
  /** Could not be started at all. */
  readonly error: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly signal?: AbortSignal;
  /** Called with the process id when it runs. */
  readonly started?: (pid: number) => void;
}

/** Processes that run now, so that none outlives the harness. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) kill(child);
});

/** Ends a process and what it started. A thread that sits in a page fault answers to no signal but this one. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Runs a command to its end, its limit, or the signal's. Never rejects for what the command does. */
export function runProcess(command: readonly string[], options: ProcessOptions): Promise<ProcessResult> {
  const { env, limitMs, signal, started } = options;
  return new Promise((resolve) => {
    const start = performance.now();
    let timedOut = false;
    let error: string | null = null;
    const stdout = new Tail(STDOUT_BYTES_MAX);
    const stderr = new Tail(STDERR_BYTES_MAX);
    const child = spawn(command[0]!, command.slice(1), {
      // A group of its own: Ctrl-C reaches the harness only, which decides what becomes of the process.
      detached: true,
      // Its standard input ends when the harness does.
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    });
    running.add(child);
    child.stdin!.on('error', () => {});
    child.stdout!.on('data', (chunk: Buffer) => stdout.add(chunk));
    child.stderr!.on('data', (chunk: Buffer) => stderr.add(chunk));
    if (child.pid !== undefined) started?.(child.pid);
    const timer = setTimeout(() => {
      timedOut = true;
      kill(child);
    }, limitMs);
    const abort = (): void => kill(child);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    const end = (status: number | null, ended: NodeJS.Signals | null): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      running.delete(child);
      resolve({
        status,
        signal: ended,
        timedOut,
        aborted: signal?.aborted === true,
        error,
        stdout: stdout.text(),
        stderr: stderr.text(),
        tookMs: performance.now() - start,
      });
    };
    child.on('error', (cause) => {
      error = cause.message;
      // Without a process there is no `close`.
      if (child.pid === undefined) end(null, null);
    });
    child.on('close', end);
  });
}

/** The last bytes of a stream. */
class Tail {
  readonly #max: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > 2 * this.#max) this.#cut();
  }

  #cut(): void {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(Math.max(0, all.length - this.#max))];
    this.#bytes = this.#chunks[0]!.length;
  }

  text(): string {
    this.#cut();
    return this.#chunks[0]!.toString('utf8');
  }
}
