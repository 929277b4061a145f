// Another thread maps memory with the heap's address as a hint, as any allocation might, while the heap flips. Runs in a process
// of its own, because a plain move really does give the address away.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { once } from 'node:events';
import {
  check,
  createLibcKernel,
  EEXIST,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const BYTES = 16 * 1024 * 1024;
const FLIPS = 2000;
const MEMORY = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
const [QUIT, ATTEMPTS, STEALS] = [0, 1, 2];
const map = (address, flags) => kernel.mmap(address, BYTES, PROT_READ | PROT_WRITE, MEMORY | flags, -1, 0);

function thief({ control, heap }) {
  parentPort.postMessage('ready');
  while (Atomics.load(control, QUIT) === 0) {
    const address = check(map(heap, 0), 'mmap', 'mapping at a hint');
    if (address < heap + BYTES && heap < address + BYTES) Atomics.add(control, STEALS, 1);
    check(kernel.munmap(address, BYTES), 'munmap', 'unmapping');
    Atomics.add(control, ATTEMPTS, 1);
  }
}

/** Flips, and puts fresh memory at the heap's address each time. Returns how often somebody was there already. */
async function flip(isKept) {
  const control = new Int32Array(new SharedArrayBuffer(16));
  const heap = Reservation.reserve(kernel, BYTES).address;
  const from = Reservation.reserve(kernel, BYTES).address;
  check(map(heap, MAP_FIXED), 'mmap', 'mapping the heap');
  const worker = new Worker(new URL(import.meta.url), { workerData: { control, heap } });
  await once(worker, 'message');
  let taken = 0;
  let flips = 0;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (isKept ? MREMAP_DONTUNMAP : 0);
  const enough = () => flips >= FLIPS && Atomics.load(control, ATTEMPTS) >= FLIPS;
  const deadline = Date.now() + 5000;
  for (; !enough() && Date.now() < deadline; flips++) {
    check(kernel.mremap(heap, BYTES, BYTES, flags, from), 'mremap', 'flipping');
    if (isKept) {
      check(map(heap, MAP_FIXED), 'mmap', 'mapping the heap again');
      continue;
    }
    let result = map(heap, MAP_FIXED_NOREPLACE);
    if (result === -EEXIST) taken++;
    // The thief gives it back. V8 or the C library, which may have taken it as well, do not: then there is no heap any more.
    while (result === -EEXIST && Date.now() < deadline) result = map(heap, MAP_FIXED_NOREPLACE);
    if (result !== -EEXIST) check(result, 'mmap', 'mapping the heap again');
  }
  Atomics.store(control, QUIT, 1);
  await once(worker, 'exit');
  return { flips, attempts: control[ATTEMPTS], steals: control[STEALS], taken };
}

if (isMainThread) {
  const report = { kept: await flip(true), plain: await flip(false) };
  process.stdout.write(`${JSON.stringify(report)}\n`);
} else thief(workerData);
