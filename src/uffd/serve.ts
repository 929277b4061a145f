// The loop of a fault server: wait, read, hand over, until told to stop.
//
//   poll ──(uffd readable)──> onWake ──> read ──(n > 0)──> onFaults(n) ──> onDrained ──┐
//    │ └──(timeout)──> onIdle ──(false)──> return 'idle'                              │
//    └──(stop readable, no fault pending)──> return 'stop'                            │
//    ^────────────────────────────────────────────────────────────────────────────────┘
//
// A message that has been read is known to nobody else. So `onWake` comes before read(): who waits for the servers to be done
// must see this one busy from before a fault can disappear from the descriptor until it is resolved.
import { TospaceError } from '../errors.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL } from './abi.ts';
import { syscallError } from './check.ts';
import { EINTR } from './errno.ts';
import type { FaultReader } from './fault-reader.ts';
import type { Kernel } from './kernel.ts';

/** What {@link serveFaults} serves, and whom it calls. */
export interface ServeFaultsOptions {
  readonly kernel: Kernel;
  /** Reads `uffdFd`; holds the faults that `onFaults` is told of. */
  readonly reader: FaultReader;
  /** The userfaultfd, non-blocking. */
  readonly uffdFd: number;
  /** The descriptor of a {@link StopSignal}. */
  readonly stopFd: number;
  /** How long poll may wait before `onIdle` is called, in milliseconds: 0 never waits, -1 waits for ever. Signals at most double it. */
  readonly idleTimeoutMs: number;
  /** Faults may be pending and have not been read yet: the place to raise a busy flag. */
  onWake?(): void;
  /** Resolve the `count` faults in the reader (at least 1). If it throws, the loop ends with that error. */
  onFaults(count: number): void;
  /** After each `onWake`, when everything that was read is resolved: the place to lower the flag. Not when something threw. */
  onDrained?(): void;
  /** No fault within `idleTimeoutMs`. Return false to end the loop. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a callback that does not care returns nothing
  onIdle?(): boolean | void;
}

const POLL_FAILED = POLLERR | POLLHUP | POLLNVAL;

/**
 * Serves faults on the calling thread and blocks it: never call it on a thread that could take such a fault itself.
 * Faults that are pending are served before a stop is obeyed.
 * @returns `stop` when told so through `stopFd`, `idle` when `onIdle` returned false
 * @throws TospaceError `ERR_STATE` when a descriptor was closed or belongs to something that ended, or as {@link check} for a
 *   failing poll or read; and whatever a callback throws. **Faults may then stay unserved**: the caller must not go on as if
 *   nothing had happened
 */
export function serveFaults(options: ServeFaultsOptions): 'stop' | 'idle' {
  const { kernel, reader, uffdFd, stopFd, idleTimeoutMs } = options;
  // poll ignores negative descriptors: a server of a closed one would sleep for ever and look healthy.
  for (const [name, fd] of Object.entries({ uffdFd, stopFd })) {
    if (fd < 0) throw new TospaceError('ERR_STATE', `${name} is closed`);
  }
  const fds = new Int32Array([uffdFd, POLLIN, stopFd, POLLIN]);
  // When poll was first interrupted since it last ended otherwise.
  let interruptedAtMs: number | undefined;
  for (;;) {
    // The kernel writes revents into the upper halves at every successful call, so there is nothing to clear.
    const ready = kernel.poll(fds, 2, idleTimeoutMs);
    if (ready === -EINTR) {
      // The next poll begins its timeout anew: under steady signals (a profiler's) none would ever reach it.
      const nowMs = performance.now();
      interruptedAtMs ??= nowMs;
      if (idleTimeoutMs < 0 || nowMs - interruptedAtMs < idleTimeoutMs) continue;
    } else if (ready < 0) {
      throw syscallError(ready, 'poll', 'waiting for page faults');
    }
    interruptedAtMs = undefined;
    if (ready <= 0) {
      if (options.onIdle?.() === false) return 'idle';
      continue;
    }
    const uffdEvents = fds[1]! >>> 16;
    const stopEvents = fds[3]! >>> 16;
    if ((uffdEvents & POLL_FAILED) !== 0) throw pollFailure('userfaultfd', uffdFd, uffdEvents);
    if ((stopEvents & POLL_FAILED) !== 0) throw pollFailure('stop signal', stopFd, stopEvents);
    if ((uffdEvents & POLLIN) !== 0) {
      options.onWake?.();
      const count = reader.read();
      if (count < 0) throw syscallError(count, 'read', 'reading page faults');
      if (count > 0) options.onFaults(count);
      options.onDrained?.();
    } else if (stopEvents !== 0) {
      return 'stop';
    }
  }
}

function pollFailure(which: string, fd: number, events: number): TospaceError {
  const names = [
    [POLLERR, 'POLLERR'],
    [POLLHUP, 'POLLHUP'],
    [POLLNVAL, 'POLLNVAL'],
  ]
    .filter(([bit]) => (events & (bit as number)) !== 0)
    .map(([, name]) => name);
  return new TospaceError(
    'ERR_STATE',
    `poll reports ${names.join(' and ')} on the ${which} (descriptor ${fd})`,
    {
      syscall: 'poll',
      hint: 'POLLNVAL: the descriptor was closed under the server. POLLERR: the userfaultfd was opened without O_NONBLOCK.',
    },
  );
}
