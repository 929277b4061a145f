// The flip, against the real kernel and with nothing but its calls: two memory files take turns under one address.
//
//   stop the mutators   mremap(heap -> from, DONTUNMAP), mmap(heap, the other file), REGISTER   let them go
//   concurrently        a page is built once, by the server of faults or by the sweeper: copied from `from` into the alias of
//                       the new file, with its stamp raised by one, then CONTINUEd at the heap
//   at the end          UNREGISTER, wait for the server to be idle, empty `from`
//
// Each mutator increments words of its own in all pages and keeps a model of them in ordinary memory.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { once } from 'node:events';
import {
  check,
  createLibcKernel,
  FaultReader,
  invariant,
  Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  Reservation,
  serveFaults,
  StopSignal,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const PAGES = 512;
const BYTES = PAGES * PAGE;
const WORDS = PAGE / 4;
const CYCLES = 20;
const MUTATORS = 2;
const WAIT_MS = 10_000;

// Words of the control block. STOP is odd while the mutators are to stand still.
const [STOP, PARKED, QUIT, BUSY, CURRENT, SERVED] = [0, 1, 2, 3, 4, 5];
const PAGE_STATES = 16;
const [UNBUILT, CLAIMED, BUILT] = [0, 1, 2];

/** Waits until word `index` has `value`; who waits longer than WAIT_MS reports it instead of hanging. */
function waitFor(control, index, value) {
  const deadline = Date.now() + WAIT_MS;
  for (let now = Atomics.load(control, index); now !== value; now = Atomics.load(control, index)) {
    invariant(Date.now() < deadline, `word ${index} becomes ${value}, not ${now}, in time`);
    Atomics.wait(control, index, now, 10);
  }
}

function builder({ control, heap, from, aliases, uffd }) {
  const source = new Int32Array(viewOf(from, BYTES));
  const targets = aliases.map((alias) => new Int32Array(viewOf(alias, BYTES)));
  return (page) => {
    const state = PAGE_STATES + page;
    if (Atomics.compareExchange(control, state, UNBUILT, CLAIMED) !== UNBUILT) {
      waitFor(control, state, BUILT);
      uffd.wake(heap + page * PAGE, PAGE);
      return false;
    }
    const target = targets[Atomics.load(control, CURRENT)];
    const first = page * WORDS;
    target.set(source.subarray(first, first + WORDS), first);
    target[first] += 1;
    const done = uffd.continue(heap + page * PAGE, PAGE);
    invariant(done === PAGE, `CONTINUE installs page ${page}: ${done}`);
    Atomics.store(control, state, BUILT);
    Atomics.notify(control, state);
    return true;
  };
}

function serve({ control, heap, from, aliases, uffdFd, stopFd }) {
  const uffd = Userfaultfd.adopt(kernel, uffdFd, 'full');
  const build = builder({ control, heap, from, aliases, uffd });
  const reader = new FaultReader(kernel, uffdFd);
  parentPort.postMessage('ready');
  serveFaults({
    kernel,
    reader,
    uffdFd,
    stopFd,
    idleTimeoutMs: -1,
    onWake: () => Atomics.store(control, BUSY, 1),
    onFaults: (count) => {
      for (let i = 0; i < count; i++)
        if (build(Math.floor((reader.address(i) - heap) / PAGE))) Atomics.add(control, SERVED, 1);
    },
    onDrained: () => Atomics.store(control, BUSY, 0),
  });
}

function mutate({ control, heap, id }) {
  const words = new Int32Array(viewOf(heap, BYTES));
  const lane = 200;
  const model = new Int32Array(PAGES * lane);
  let random = id + 1;
  let updates = 0;
  parentPort.postMessage('ready');
  while (Atomics.load(control, QUIT) === 0) {
    const epoch = Atomics.load(control, STOP);
    if (epoch % 2 === 1) {
      Atomics.add(control, PARKED, 1);
      Atomics.notify(control, PARKED);
      while (Atomics.load(control, STOP) === epoch) Atomics.wait(control, STOP, epoch);
      continue;
    }
    for (let i = 0; i < 16; i++) {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      const page = (random >>> 8) % PAGES;
      const word = (random >>> 20) % lane;
      words[page * WORDS + 16 + id * lane + word]++;
      model[page * lane + word]++;
      updates++;
    }
  }
  let lost = 0;
  for (let page = 0; page < PAGES; page++)
    for (let word = 0; word < lane; word++)
      if (words[page * WORDS + 16 + id * lane + word] !== model[page * lane + word]) lost++;
  parentPort.postMessage({ lost, updates });
}

async function run() {
  const control = new Int32Array(new SharedArrayBuffer(4 * (PAGE_STATES + PAGES)));
  const reserve = () => Reservation.reserve(kernel, BYTES, { alignBytes: 2 * 1024 * 1024 });
  const [heap, from, ...aliases] = [reserve(), reserve(), reserve(), reserve()];
  const files = aliases.map((alias, i) => {
    const file = Memfd.create(kernel, `space-${i}`, BYTES);
    file.map(alias.address, BYTES);
    return file;
  });
  files[0].map(heap.address, BYTES);
  const uffd = Userfaultfd.open(kernel);
  const stop = StopSignal.create(kernel);
  const places = { control, heap: heap.address, from: from.address, aliases: aliases.map((a) => a.address) };
  const start = async (data) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { ...places, ...data } });
    // A thread that fails ends the process: others may wait for it in a fault.
    worker.once('error', (e) => {
      process.stderr.write(`${e.stack}\n`);
      kernel.exitGroup(3);
    });
    await once(worker, 'message');
    return worker;
  };
  const server = await start({ role: 'server', uffdFd: uffd.fd, stopFd: stop.fd });
  const mutators = [];
  for (let id = 0; id < MUTATORS; id++) mutators.push(await start({ role: 'mutator', id }));
  const build = builder({ ...places, uffd });

  let swept = 0;
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    Atomics.store(control, PARKED, 0);
    Atomics.add(control, STOP, 1);
    waitFor(control, PARKED, MUTATORS);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    check(kernel.mremap(heap.address, BYTES, BYTES, flags, from.address), 'mremap', 'flipping');
    files[cycle % 2].map(heap.address, BYTES);
    Atomics.store(control, CURRENT, cycle % 2);
    control.fill(UNBUILT, PAGE_STATES);
    uffd.register(heap.address, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    Atomics.add(control, STOP, 1);
    Atomics.notify(control, STOP);

    // Let at least one fault come first: the sweeper alone would be no test.
    const served = Atomics.load(control, SERVED);
    for (const deadline = Date.now() + WAIT_MS; Atomics.load(control, SERVED) === served; )
      invariant(Date.now() < deadline, 'a mutator faults after every flip');
    for (let page = 0; page < PAGES; page++) if (build(page)) swept++;
    check(uffd.unregister(heap.address, BYTES), 'UFFDIO_UNREGISTER', 'ending a cycle');
    waitFor(control, BUSY, 0);
    from.reset();
  }
  const ends = mutators.map((mutator) => once(mutator, 'message'));
  Atomics.store(control, QUIT, 1);
  const reports = (await Promise.all(ends)).map(([report]) => report);
  stop.signal();
  await once(server, 'exit');
  const words = new Int32Array(viewOf(heap.address, BYTES));
  const stamps = Array.from({ length: PAGES }, (_, page) => words[page * WORDS]);
  return {
    cycles: CYCLES,
    lost: reports.map(({ lost }) => lost),
    updates: reports.map(({ updates }) => updates),
    wrongStamps: stamps.filter((stamp) => stamp !== CYCLES).length,
    served: control[SERVED],
    built: control[SERVED] + swept,
    pages: PAGES,
  };
}

if (isMainThread) {
  const report = await run();
  process.stdout.write(`${JSON.stringify(report)}\n`);
} else if (workerData.role === 'server') serve(workerData);
else mutate(workerData);
