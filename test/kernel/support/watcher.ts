// A userfaultfd as the kernel gives it, also with the features that Userfaultfd.open refuses, and its messages of every kind.
import { readFileSync } from 'node:fs';
import {
  addressOf,
  check,
  EPERM,
  O_CLOEXEC,
  O_NONBLOCK,
  POLLIN,
  UFFD_API,
  UFFD_EVENT_FORK,
  UFFD_EVENT_PAGEFAULT,
  UFFD_EVENT_REMAP,
  UFFD_EVENT_REMOVE,
  UFFD_EVENT_UNMAP,
  UFFD_MSG_BYTES,
  UFFD_USER_MODE_ONLY,
  UFFDIO_API,
  UFFDIO_REGISTER,
  Userfaultfd,
} from '#src/uffd/index.js';
import { kernel, PAGE } from './memory.ts';

const PATIENCE_MS = 10_000;
const WORDS = UFFD_MSG_BYTES / 8;
const CAPACITY = 16;

/** What a userfaultfd says; each event has its own fields. */
export type Message =
  | { event: 'pagefault'; flags: number; address: number; threadId: number }
  | { event: 'fork'; fd: number }
  | { event: 'remap'; from: number; to: number; bytes: number }
  | { event: 'remove' | 'unmap'; start: number; end: number };

/** UFFDIO_API by hand. Returns 0 or -errno, and what the kernel answered. */
export function handshake(
  fd: number,
  features: bigint,
  api: number = UFFD_API,
): { result: number; features: bigint; ioctls: bigint } {
  const words = new BigUint64Array([BigInt(api), features, 0n]);
  const result = kernel.ioctl(fd, UFFDIO_API, words);
  return { result, features: words[1]!, ioctls: words[2]! };
}

export class Watcher implements Disposable {
  readonly fd: number;
  /** The requests. Closing this leaves the descriptor open. */
  readonly uffd: Userfaultfd;
  #isOpen = true;

  private constructor(fd: number) {
    this.fd = fd;
    this.uffd = Userfaultfd.adopt(kernel, fd, 'full');
  }

  /**
   * Opens a userfaultfd with any features: the full kind if this user may, else the user-mode-only kind, which differs in nothing
   * but the faults that the kernel takes.
   */
  static open(features: bigint = 0n, flags: number = O_CLOEXEC | O_NONBLOCK): Watcher {
    let result = kernel.userfaultfd(flags);
    if (result === -EPERM) result = kernel.userfaultfd(flags | UFFD_USER_MODE_ONLY);
    const fd = check(result, 'userfaultfd', 'opening a userfaultfd');
    check(handshake(fd, features).result, 'UFFDIO_API', `asking for features 0x${features.toString(16)}`);
    return new Watcher(fd);
  }

  /** For a descriptor that came in a message or was opened by hand. */
  static of(fd: number): Watcher {
    return new Watcher(fd);
  }

  /** UFFDIO_REGISTER by hand. Returns the bits of the requests that the range takes, or -errno. */
  register(address: number, bytes: number, mode: number): number {
    const words = new BigUint64Array([BigInt(address), BigInt(bytes), BigInt(mode), 0n]);
    const result = kernel.ioctl(this.fd, UFFDIO_REGISTER, words);
    return result < 0 ? result : Number(words[3]!);
  }

  /** A request by hand, with every word but the last of its structure; the last is what the kernel reports there. */
  request(request: number, ...words: readonly number[]): { result: number; done: number } {
    const args = new BigInt64Array([...words.map(BigInt), 0n]);
    const result = kernel.ioctl(this.fd, request, new BigUint64Array(args.buffer));
    return { result, done: Number(args.at(-1)!) };
  }

  /** How many faults have not been read yet, as /proc tells. */
  get unread(): number {
    return parseCount(this.fd, 'pending');
  }

  /** How many threads wait, whether their messages were read or not. */
  get waiting(): number {
    return parseCount(this.fd, 'total');
  }

  /** Waits until poll says that there is a message; false when it does not for `timeoutMs`. */
  hasMessage(timeoutMs: number = PATIENCE_MS): boolean {
    return kernel.poll(new Int32Array([this.fd, POLLIN]), 1, timeoutMs) > 0;
  }

  /** One read(2): the messages that are pending, or -errno. */
  read(capacity: number = CAPACITY): Message[] | number {
    const words = new BigUint64Array(capacity * WORDS);
    const bytes = kernel.read(this.fd, words, words.byteLength);
    if (bytes < 0) return bytes;
    return Array.from({ length: bytes / UFFD_MSG_BYTES }, (_, i) => decode(words, i));
  }

  /** Waits for `count` messages; throws when they do not come. */
  take(count: number = 1): Message[] {
    const found: Message[] = [];
    while (found.length < count) {
      if (!this.hasMessage()) throw new Error(`${found.length} of ${count} messages came`);
      const messages = this.read();
      // -EAGAIN: a fault that was withdrawn between poll and read.
      if (typeof messages !== 'number') found.push(...messages);
    }
    return found;
  }

  /** Waits for one page fault. */
  takeFault(): { flags: number; address: number; threadId: number } {
    const [message] = this.take();
    if (message?.event !== 'pagefault') throw new Error(`a page fault was expected: ${message?.event}`);
    return message;
  }

  close(): void {
    if (this.#isOpen) kernel.close(this.fd);
    this.#isOpen = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function parseCount(fd: number, field: string): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
  return Number.parseInt(new RegExp(`^${field}:\\s*(\\d+)$`, 'm').exec(text)![1]!, 10);
}

function decode(words: BigUint64Array, index: number): Message {
  const word = (i: number): number => Number(words[index * WORDS + i]!);
  const event = word(0) % 256;
  const low = (i: number): number => Number(words[index * WORDS + i]! & 0xffff_ffffn);
  switch (event) {
    case UFFD_EVENT_PAGEFAULT:
      return { event: 'pagefault', flags: word(1), address: word(2), threadId: low(3) };
    case UFFD_EVENT_FORK:
      return { event: 'fork', fd: low(1) };
    case UFFD_EVENT_REMAP:
      return { event: 'remap', from: word(1), to: word(2), bytes: word(3) };
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
      return { event: event === UFFD_EVENT_REMOVE ? 'remove' : 'unmap', start: word(1), end: word(2) };
    default:
      throw new Error(`an event that this kernel should not know: 0x${event.toString(16)}`);
  }
}

/** The latest of {@link source}: a caller that only takes the address would leave its memory to the engine's next collection. */
const kept: Int32Array[] = [];
const KEPT_MAX = 64;

/** A page of memory to copy from: its first word is `value`. It is there until many more have been made. */
export function source(value: number, pages: number = 1): { view: Int32Array; address: number } {
  const view = new Int32Array((pages * PAGE) / 4);
  for (let p = 0; p < pages; p++) view[(p * PAGE) / 4] = value + p;
  kept.push(view);
  if (kept.length > KEPT_MAX) kept.shift();
  return { view, address: addressOf(view) };
}
