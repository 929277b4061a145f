// Scenarios of MADV_COLLAPSE and MADV_POPULATE_WRITE on memory that a userfaultfd watches.
import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { once } from 'node:events';
import {
  addressOf,
  createLibcKernel,
  EAGAIN,
  errnoName,
  FaultReader,
  MADV_COLLAPSE,
  MADV_POPULATE_WRITE,
  Memfd,
  POLLIN,
  Reservation,
  serveFaults,
  StopSignal,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const HUGE = 2 * 1024 * 1024;
const answer = (result) => (result >= 0 ? 'ok' : errnoName(result));

/** A memory file of one huge page's size, in a window and an alias. */
function setUp(bytes = HUGE) {
  const file = Memfd.create(kernel, 'collapse', bytes);
  const window = Reservation.reserve(kernel, bytes, { alignBytes: HUGE }).address;
  const alias = Reservation.reserve(kernel, bytes, { alignBytes: HUGE }).address;
  file.map(window, bytes);
  file.map(alias, bytes);
  return {
    file,
    window,
    alias,
    aliasWords: new Uint32Array(viewOf(alias, bytes)),
    uffd: Userfaultfd.open(kernel),
  };
}

const nobody = new Int32Array(new SharedArrayBuffer(4));
const pattern = (i) => Math.imul(i + 1, 0x9e3779b1) >>> 0;

/**
 * MADV_COLLAPSE, again for as long as it says EAGAIN, up to 5 s: by that it means that somebody else holds one of the pages for a
 * moment (the kernel's own compaction does), not what the range is like. Returns 0 or -errno.
 */
function collapseRange(address) {
  for (const deadline = performance.now() + 5000; ; ) {
    const result = kernel.madvise(address, HUGE, MADV_COLLAPSE);
    if (result !== -EAGAIN || performance.now() > deadline) return result;
    Atomics.wait(nobody, 0, 0, 1);
  }
}

/** Bytes of the window that are mapped by huge page-table entries. */
function hugeBytes(address) {
  let isInside = false;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range) isInside = Number.parseInt(range[1], 16) <= address && address < Number.parseInt(range[2], 16);
    else if (isInside && line.startsWith('ShmemPmdMapped:'))
      return Number.parseInt(line.slice(15), 10) * 1024;
  }
  return 0;
}

function collapse(isFinished) {
  const { window, aliasWords, uffd } = setUp();
  for (let i = 0; i < aliasWords.length; i++) aliasWords[i] = pattern(i);
  uffd.register(window, HUGE, UFFDIO_REGISTER_MODE_MISSING_MINOR);
  if (isFinished && uffd.continue(window, HUGE) !== HUGE) throw new Error('CONTINUE did not install all');
  const result = collapseRange(window);
  const huge = hugeBytes(window);
  let wrong = 0;
  // Pages that are not mapped would block here: nobody serves.
  if (huge === HUGE) {
    const words = new Uint32Array(viewOf(window, HUGE));
    for (let i = 0; i < words.length; i++) if (words[i] !== pattern(i)) wrong++;
  }
  return {
    collapse: answer(result),
    hugeBytes: huge,
    wrong,
    events: new FaultReader(kernel, uffd.fd).read(),
  };
}

const scenarios = {
  finished: () => collapse(true),
  unfinished: () => collapse(false),

  'half-filled': () => {
    const { file, window, alias, aliasWords, uffd } = setUp();
    const pages = HUGE / PAGE;
    for (let page = 0; page < pages; page += 2) aliasWords[(page * PAGE) / 4] = 1;
    uffd.register(window, HUGE, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    const allocatedBefore = file.allocatedBytes();
    const direct = answer(collapseRange(window));
    const viaAlias = answer(collapseRange(alias));
    const allocatedAfter = file.allocatedBytes();
    // EEXIST if the hole had been filled.
    const copied = uffd.copy(window + PAGE, addressOf(new Uint8Array(PAGE)), PAGE);
    return { direct, viaAlias, allocatedBefore, allocatedAfter, copied };
  },

  populate: async () => {
    const bytes = 16 * PAGE;
    const { file, window, uffd } = setUp(bytes);
    uffd.register(window, bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    const stop = StopSignal.create(kernel);
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { address: window, bytes, stopFd: stop.fd },
    });
    const [tid] = await once(worker, 'message');
    const answered = once(worker, 'message');
    if (kernel.poll(new Int32Array([uffd.fd, POLLIN]), 1, 10_000) !== 1) throw new Error('no fault came');
    // The fault is queued just before the thread goes to sleep.
    let state = '';
    for (const deadline = Date.now() + 5000; state !== 'D' && Date.now() < deadline; )
      state = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1][0];
    const reader = new FaultReader(kernel, uffd.fd);
    let faults = 0;
    serveFaults({
      kernel,
      reader,
      uffdFd: uffd.fd,
      stopFd: stop.fd,
      idleTimeoutMs: 10_000,
      onFaults: (count) => {
        for (let i = 0; i < count; i++) uffd.zeropage(reader.address(i), PAGE);
        faults += count;
      },
      onIdle: () => false,
    });
    const [result] = await answered;
    return { state, faults, result, filled: file.allocatedBytes() / PAGE };
  },
};

if (isMainThread) {
  process.stdout.write(`${JSON.stringify(await scenarios[process.argv[2]]())}\n`);
} else {
  const { address, bytes, stopFd } = workerData;
  parentPort.postMessage(kernel.gettid());
  const result = kernel.madvise(address, bytes, MADV_POPULATE_WRITE);
  StopSignal.adopt(kernel, stopFd).signal();
  parentPort.postMessage(result);
}
