// Scenarios that may block a thread in a page fault if something is wrong. Each runs in a process of its own: see child.ts.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import {
  addressOf,
  createLibcKernel,
  FaultReader,
  Memfd,
  serveFaults,
  StopSignal,
  UFFD_FEATURE_THREAD_ID,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
} from '#src/uffd/index.js';
import { createArena } from './arena.mjs';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const PAGES = 16;
const BYTES = PAGES * PAGE;
const ALIAS = BYTES; // offset of the second mapping inside the arena

/** A memory file mapped twice into one arena: the window at 0 and its alias behind. */
function setUp() {
  const arena = createArena(4);
  const file = Memfd.create(kernel, 'scenario', BYTES);
  file.map(arena.address, BYTES);
  file.map(arena.address + ALIAS, BYTES);
  return { arena, file };
}

/** A thread that touches one word of every page of the window, then raises the stop signal. */
async function startFaulter(arena, stop, write) {
  const worker = new Worker(new URL('./faulter.mjs', import.meta.url), {
    workerData: { memory: arena.memory, pages: PAGES, pageBytes: PAGE, stopFd: stop.fd, write },
  });
  const [message] = await once(worker, 'message');
  if (message !== 'ready') throw new Error(`unexpected message ${message}`);
  return worker;
}

/** The main thread serves, a worker faults on every page. */
async function serve(how, write) {
  const { arena, file } = setUp();
  const uffd = Userfaultfd.open(kernel, { features: UFFD_FEATURE_THREAD_ID });
  const stop = StopSignal.create(kernel);
  const worker = await startFaulter(arena, stop, write);
  const answer = once(worker, 'message');
  if (how === 'continue') {
    // Every second page is in the page cache already (a minor fault), the others are holes (a missing fault).
    for (let p = 0; p < PAGES; p += 2) arena.words[(ALIAS + p * PAGE) / 4] = 1;
  }
  uffd.register(arena.address, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR);
  const reader = new FaultReader(kernel, uffd.fd);
  const staging = new Int32Array(PAGE / 4);

  const log = { faults: 0, wakes: 0, drains: 0, flags: [], threads: [], order: [] };
  // From here on the worker may touch the window.
  worker.postMessage('go');
  const end = serveFaults({
    kernel,
    reader,
    uffdFd: uffd.fd,
    stopFd: stop.fd,
    idleTimeoutMs: 10_000,
    onWake: () => {
      log.wakes++;
      log.order.push('wake');
    },
    onFaults: (count) => {
      log.order.push('faults');
      for (let i = 0; i < count; i++) {
        const at = reader.address(i);
        const page = (at - arena.address) / PAGE;
        log.faults++;
        log.flags.push(reader.flags(i));
        if (!log.threads.includes(reader.threadId(i))) log.threads.push(reader.threadId(i));
        let done;
        if (how === 'copy') {
          staging[0] = 1000 + page;
          done = uffd.copy(at, addressOf(staging), PAGE);
        } else {
          arena.words[(ALIAS + page * PAGE) / 4] = 1000 + page;
          done = uffd.continue(at, PAGE);
        }
        if (done !== PAGE) throw new Error(`page ${page}: ${done}`);
      }
    },
    onDrained: () => {
      log.drains++;
      log.order.push('drained');
    },
    onIdle: () => false,
  });
  const [{ seen, tid }] = await answer;
  uffd.unregister(arena.address, BYTES);
  const alias = Array.from({ length: PAGES }, (_, p) => arena.words[(ALIAS + p * PAGE) / 4]);
  const stored = Array.from({ length: PAGES }, (_, p) => arena.words[(ALIAS + p * PAGE) / 4 + 1]);
  file.close();
  return { end, seen, alias, stored, tid, ...log };
}

const scenarios = {
  'serve-copy': () => serve('copy', false),
  'serve-continue': () => serve('continue', false),
  'serve-continue-write': () => serve('continue', true),

  /** MISSING alone: pages of the page cache are mapped without a word. No server runs: an event would block for ever. */
  'missing-only-maps-cached-pages': () => {
    const { arena } = setUp();
    arena.words[ALIAS / 4] = 77;
    const uffd = Userfaultfd.open(kernel);
    uffd.register(arena.address, BYTES, UFFDIO_REGISTER_MODE_MISSING);
    return { read: arena.words[0] };
  },

  /** MINOR alone: holes are zero-filled without a word. */
  'minor-only-fills-holes': () => {
    const { arena, file } = setUp();
    const uffd = Userfaultfd.open(kernel);
    uffd.register(arena.address, BYTES, UFFDIO_REGISTER_MODE_MINOR);
    return { read: arena.words[0], allocatedBytes: file.allocatedBytes() };
  },

  /** A page that is built later is served by nobody when unregister lets its faulter go: it reads what the kernel has. */
  'unregister-releases-with-zeroes': async () => {
    const { arena } = setUp();
    const uffd = Userfaultfd.open(kernel);
    const stop = StopSignal.create(kernel);
    const worker = await startFaulter(arena, stop, false);
    const answer = once(worker, 'message');
    uffd.register(arena.address, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    const reader = new FaultReader(kernel, uffd.fd);
    worker.postMessage('go');
    const fds = new Int32Array([uffd.fd, 1]);
    const ready = kernel.poll(fds, 1, 10_000);
    const pending = reader.read();
    const unregistered = uffd.unregister(arena.address, BYTES);
    const [{ seen }] = await answer;
    return { ready, pending, unregistered, seen };
  },

  /** After EEXIST only a wake helps whoever sleeps on a page that was installed with DONTWAKE. */
  'wake-after-dontwake': async () => {
    const { arena } = setUp();
    const uffd = Userfaultfd.open(kernel);
    const stop = StopSignal.create(kernel);
    const worker = await startFaulter(arena, stop, false);
    const answer = once(worker, 'message');
    uffd.register(arena.address, PAGE, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    worker.postMessage('go');
    kernel.poll(new Int32Array([uffd.fd, 1]), 1, 10_000);
    arena.words[ALIAS / 4] = 5;
    const installed = uffd.continue(arena.address, PAGE, 1);
    const stopReady = kernel.poll(new Int32Array([stop.fd, 1]), 1, 200);
    const again = uffd.continue(arena.address, PAGE);
    const stopReadyAfterEexist = kernel.poll(new Int32Array([stop.fd, 1]), 1, 200);
    const woken = uffd.wake(arena.address, PAGE);
    const [{ seen }] = await answer;
    return { installed, stopReady, again, stopReadyAfterEexist, woken, first: seen[0] };
  },

  /** A system call that reads a missing page: EFAULT with the user-mode-only kind, no event. */
  'syscall-on-missing-page': (kind) => {
    const { arena } = setUp();
    const uffd = Userfaultfd.open(kernel, { kind });
    uffd.register(arena.address, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    const sink = Memfd.create(kernel, 'sink', BYTES);
    const written = kernel.write(sink.fd, arena.bytes.subarray(0, 8), 8);
    const events = new FaultReader(kernel, uffd.fd).read();
    const installed = uffd.zeropage(arena.address, PAGE);
    // Touched (here: installed) first, the same system call works.
    const after = kernel.write(sink.fd, arena.bytes.subarray(0, 8), 8);
    return { kind: uffd.kind, written, events, installed, after };
  },

  /** The message of a fault is withdrawn once the page is there. */
  'resolved-before-read': async () => {
    const { arena } = setUp();
    const uffd = Userfaultfd.open(kernel);
    const stop = StopSignal.create(kernel);
    const worker = await startFaulter(arena, stop, false);
    const answer = once(worker, 'message');
    uffd.register(arena.address, PAGE, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    worker.postMessage('go');
    const fds = new Int32Array([uffd.fd, 1]);
    const before = kernel.poll(fds, 1, 10_000);
    uffd.zeropage(arena.address, PAGE);
    await answer;
    return { before, after: kernel.poll(fds, 1, 0), read: new FaultReader(kernel, uffd.fd).read() };
  },
};

const [name, ...args] = process.argv.slice(2);
const report = await scenarios[name](...args);
process.stdout.write(`${JSON.stringify(report)}\n`);
