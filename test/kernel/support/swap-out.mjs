// Memory written to a file and given back while its users keep running: nobody is stopped.
//
// A chunk at a time: DONTUNMAP to a shadow (from then on its users fault), the resident pages of the shadow to the file, the
// shadow dropped. A fault brings one page back by COPY from the file. A lock for every chunk orders the two: without it, a page
// that is copied in while its chunk moves would be in neither place that is written out.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { once } from 'node:events';
import {
  addressOf,
  check,
  createLibcKernel,
  FaultReader,
  invariant,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  serveFaults,
  StopSignal,
  SYS_PREAD64,
  SYS_PWRITE64,
  UFFDIO_REGISTER_MODE_MISSING,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const WORDS = PAGE / 4;
const CHUNKS = 16;
const CHUNK_PAGES = 32;
const CHUNK_BYTES = CHUNK_PAGES * PAGE;
const PAGES = CHUNKS * CHUNK_PAGES;
const BYTES = PAGES * PAGE;
const PASSES = 3;
const USERS = 2;
const WAIT_MS = 10_000;
const LANE = 400;

// Words of the control block; then a lock for each chunk, then a flag for each page that is resident.
const [QUIT, FAULTS] = [0, 1];
const LOCKS = 16;
const RESIDENT = LOCKS + CHUNKS;

function withChunk(control, chunk, body) {
  const deadline = Date.now() + WAIT_MS;
  while (Atomics.compareExchange(control, LOCKS + chunk, 0, 1) !== 0) {
    invariant(Date.now() < deadline, `the lock of chunk ${chunk} is given back in time`);
    Atomics.wait(control, LOCKS + chunk, 1, 10);
  }
  body();
  Atomics.store(control, LOCKS + chunk, 0);
  Atomics.notify(control, LOCKS + chunk);
}

function serve({ control, memory, uffdFd, stopFd, fileFd }) {
  const uffd = Userfaultfd.adopt(kernel, uffdFd, 'full');
  const reader = new FaultReader(kernel, uffdFd);
  const staging = new Uint8Array(PAGE);
  parentPort.postMessage('ready');
  const bringBack = (page) => {
    const address = memory + page * PAGE;
    if (Atomics.load(control, RESIDENT + page) === 1) {
      uffd.wake(address, PAGE);
      return;
    }
    const read = kernel.syscall(SYS_PREAD64, fileFd, addressOf(staging), PAGE, page * PAGE);
    invariant(read === PAGE, `page ${page} is in the file: ${read}`);
    const copied = uffd.copy(address, addressOf(staging), PAGE);
    invariant(copied === PAGE, `COPY installs page ${page}: ${copied}`);
    Atomics.store(control, RESIDENT + page, 1);
    Atomics.add(control, FAULTS, 1);
  };
  serveFaults({
    kernel,
    reader,
    uffdFd,
    stopFd,
    idleTimeoutMs: -1,
    onFaults: (count) => {
      for (let i = 0; i < count; i++) {
        const page = Math.floor((reader.address(i) - memory) / PAGE);
        withChunk(control, Math.floor(page / CHUNK_PAGES), () => bringBack(page));
      }
    },
  });
}

function use({ control, memory, id }) {
  const words = new Int32Array(viewOf(memory, BYTES));
  const model = new Int32Array(PAGES * LANE);
  let random = id + 1;
  let updates = 0;
  parentPort.postMessage('ready');
  while (Atomics.load(control, QUIT) === 0) {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    const page = (random >>> 8) % PAGES;
    const word = (random >>> 20) % LANE;
    words[page * WORDS + id * LANE + word]++;
    model[page * LANE + word]++;
    updates++;
  }
  let lost = 0;
  for (let page = 0; page < PAGES; page++)
    for (let word = 0; word < LANE; word++)
      if (words[page * WORDS + id * LANE + word] !== model[page * LANE + word]) lost++;
  parentPort.postMessage({ lost, updates });
}

async function run() {
  const control = new Int32Array(new SharedArrayBuffer(4 * (RESIDENT + PAGES)));
  const memory = Reservation.reserve(kernel, BYTES).address;
  const shadow = Reservation.reserve(kernel, CHUNK_BYTES);
  const kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  check(kernel.mmap(memory, BYTES, PROT_READ | PROT_WRITE, kind, -1, 0), 'mmap', 'mapping memory');
  new Uint8Array(viewOf(memory, BYTES)).fill(0);
  control.fill(1, RESIDENT);
  const file = Memfd.create(kernel, 'swap', BYTES);
  const uffd = Userfaultfd.open(kernel);
  const stop = StopSignal.create(kernel);
  uffd.register(memory, BYTES, UFFDIO_REGISTER_MODE_MISSING);
  const start = async (data) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { control, memory, ...data } });
    worker.once('error', (e) => {
      process.stderr.write(`${e.stack}\n`);
      kernel.exitGroup(3);
    });
    await once(worker, 'message');
    return worker;
  };
  const server = await start({ role: 'server', uffdFd: uffd.fd, stopFd: stop.fd, fileFd: file.fd });
  const users = [];
  for (let id = 0; id < USERS; id++) users.push(await start({ role: 'user', id }));

  let written = 0;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  const swapOut = (chunk) => {
    const address = memory + chunk * CHUNK_BYTES;
    check(kernel.mremap(address, CHUNK_BYTES, CHUNK_BYTES, flags, shadow.address), 'mremap', 'swapping out');
    for (let i = 0; i < CHUNK_PAGES; i++) {
      const page = chunk * CHUNK_PAGES + i;
      // A page that was not touched since the last pass is in the file already, and a hole in the shadow.
      if (Atomics.load(control, RESIDENT + page) === 0) continue;
      const done = kernel.syscall(SYS_PWRITE64, file.fd, shadow.address + i * PAGE, PAGE, page * PAGE);
      invariant(done === PAGE, `page ${page} is written to the file: ${done}`);
      Atomics.store(control, RESIDENT + page, 0);
      written++;
    }
    shadow.reset();
  };
  for (let pass = 0; pass < PASSES; pass++) {
    const faults = Atomics.load(control, FAULTS);
    for (let chunk = 0; chunk < CHUNKS; chunk++) withChunk(control, chunk, () => swapOut(chunk));
    for (const deadline = Date.now() + WAIT_MS; Atomics.load(control, FAULTS) === faults; )
      invariant(Date.now() < deadline, 'the users fault while they are swapped out');
  }
  const ends = users.map((user) => once(user, 'message'));
  Atomics.store(control, QUIT, 1);
  const reports = (await Promise.all(ends)).map(([report]) => report);
  stop.signal();
  await once(server, 'exit');
  return {
    lost: reports.map(({ lost }) => lost),
    updates: reports.map(({ updates }) => updates),
    written,
    broughtBack: control[FAULTS],
    pages: PAGES,
  };
}

if (isMainThread) {
  const report = await run();
  process.stdout.write(`${JSON.stringify(report)}\n`);
} else if (workerData.role === 'server') serve(workerData);
else use(workerData);
