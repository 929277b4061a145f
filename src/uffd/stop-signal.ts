// How a thread that blocks in poll is told to stop. It cannot be terminated, so it waits for this beside the userfaultfd.
import { EFD_CLOEXEC, EFD_NONBLOCK } from './abi.ts';
import { check } from './check.ts';
import { EAGAIN } from './errno.ts';
import type { Kernel } from './kernel.ts';

/** An eventfd that nobody reads while serving: once signalled it stays readable, and so stops every server that polls it. */
export class StopSignal implements Disposable {
  readonly #kernel: Kernel;
  readonly #owned: boolean;
  readonly #word: BigUint64Array = new BigUint64Array([1n]);
  #fd: number;

  private constructor(kernel: Kernel, fd: number, owned: boolean) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#owned = owned;
  }

  /**
   * Linux 2.6.27.
   * @throws TospaceError as {@link check}
   */
  static create(kernel: Kernel): StopSignal {
    const fd = check(kernel.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd', 'creating a stop signal');
    return new StopSignal(kernel, fd, true);
  }

  /** The same signal in a thread that was sent the descriptor. Its {@link close} leaves the descriptor open. */
  static adopt(kernel: Kernel, fd: number): StopSignal {
    return new StopSignal(kernel, fd, false);
  }

  /** The descriptor to poll; -1 after {@link close}. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Makes the descriptor readable, for good. From any thread, any number of times.
   * @throws TospaceError as {@link check}
   */
  signal(): void {
    this.#word[0] = 1n;
    const result = this.#kernel.write(this.#fd, this.#word, 8);
    // EAGAIN: the counter is full, so it has been signalled more than enough.
    if (result !== -EAGAIN) check(result, 'write', 'signalling a server to stop');
  }

  /**
   * Takes the signal back, for the next run. Only when no server is running.
   * @throws TospaceError as {@link check}
   */
  reset(): void {
    const result = this.#kernel.read(this.#fd, this.#word, 8);
    if (result !== -EAGAIN) check(result, 'read', 'resetting a stop signal');
  }

  /** Idempotent, never throws. A server that still polls it is not stopped by this: signal first. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0 && this.#owned) this.#kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
