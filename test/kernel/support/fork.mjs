// Scenarios that fork: the child is this process once more, with one thread, and does nothing but raw system calls and plain
// loads and stores on memory that was prepared before. Run with --single-threaded.
import {
  createLibcKernel,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_MAYMOVE,
  PR_SET_PDEATHSIG,
  PROT_READ,
  PROT_WRITE,
  SIGKILL,
  SYS_EXIT_GROUP,
  SYS_FORK,
  SYS_KILL,
  SYS_PRCTL,
  SYS_WAIT4,
  WNOHANG,
  addressOf,
  check,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const PAGES = 4;
const BYTES = PAGES * PAGE;
const CHILD_TIMEOUT_MS = 10_000;

function map(bytes, kind) {
  const flags = kind | MAP_ANONYMOUS;
  return check(kernel.mmap(0, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), 'mmap', 'mapping memory');
}

/** Runs `body` in a forked child; returns its exit status, or throws after killing it. */
function inChild(body) {
  const pid = check(kernel.syscall(SYS_FORK), 'fork', 'forking');
  if (pid === 0) {
    // Never outlive the parent, and never return into the program.
    kernel.syscall(SYS_PRCTL, PR_SET_PDEATHSIG, SIGKILL);
    let status = 99;
    try {
      status = body();
    } finally {
      kernel.syscall(SYS_EXIT_GROUP, status);
    }
  }
  const status = new Int32Array(1);
  const deadline = Date.now() + CHILD_TIMEOUT_MS;
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const done = check(kernel.syscall(SYS_WAIT4, pid, addressOf(status), WNOHANG, 0), 'wait4', 'waiting');
    if (done === pid) break;
    if (Date.now() > deadline) {
      kernel.syscall(SYS_KILL, pid, SIGKILL);
      kernel.syscall(SYS_WAIT4, pid, addressOf(status), 0, 0);
      throw new Error('the forked child did not end');
    }
    Atomics.wait(sleep, 0, 0, 1);
  }
  if ((status[0] & 0x7f) !== 0) throw new Error(`signal ${status[0] & 0x7f} ended the forked child`);
  return status[0] >> 8;
}

/** For each page the value that all its bytes have, or -1. */
function pageValues(bytes) {
  return Array.from({ length: PAGES }, (_, page) => {
    const one = bytes.subarray(page * PAGE, (page + 1) * PAGE);
    return one.every((byte) => byte === one[0]) ? one[0] : -1;
  });
}

const scenarios = {
  /** The child copies a part of one page by writing to it, then moves all pages away. */
  'copy-on-write': () => {
    const [a, b] = [97, 98];
    const memory = map(BYTES, MAP_PRIVATE);
    const bytes = new Uint8Array(viewOf(memory, BYTES)).fill(a);
    // Shared with the child: what it found.
    const results = new Float64Array(viewOf(map(PAGE, MAP_SHARED), PAGE));
    const status = inChild(() => {
      bytes.fill(b, PAGE, PAGE + 1024);
      const fresh = kernel.mremap(memory, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
      results[0] = fresh;
      if (fresh < 0) return 1;
      const moved = new Uint8Array(viewOf(fresh, BYTES));
      results.set(pageValues(moved), 1);
      results.set(pageValues(bytes), 1 + PAGES);
      results[1 + 2 * PAGES] = moved.reduce((sum, byte) => sum + (byte === b ? 1 : 0), 0);
      // Writes after the move do not reach the parent either.
      moved.fill(b);
      bytes.fill(b);
      return 0;
    });
    return {
      status,
      moved: results[0],
      fresh: [...results.subarray(1, 1 + PAGES)],
      old: [...results.subarray(1 + PAGES, 1 + 2 * PAGES)],
      copiedBytes: results[1 + 2 * PAGES],
      parent: pageValues(bytes),
    };
  },
};

const report = scenarios[process.argv[2]]();
process.stdout.write(`${JSON.stringify(report)}\n`);
