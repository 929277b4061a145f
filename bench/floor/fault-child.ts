// The TypeScript half of `bench floor`'s fault round trip: the main thread touches pages one by one, clock in hand; a worker runs the
// package's own loop (serveFaults) and answers with UFFDIO_COPY (the page is a hole) or UFFDIO_CONTINUE (it is in the page cache).
//
// fault-child <pages> <warm-up passes> <copy|continue> <CPU of the mutator> <CPU of the server>; prints FaultSamples.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  addressOf,
  check,
  createLibcKernel,
  FaultReader,
  MADV_DONTNEED,
  Memfd,
  pin,
  StopSignal,
  serveFaults,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  type UserfaultfdKind,
} from 'tospace/uffd';
import type { FaultSamples } from './samples.ts';

const PAGE_BYTES = 4096;
/** Byte that every page is filled with. */
const CONTENTS = 7;
/** For the server to be asleep in poll when the first fault comes. */
const SETTLE_MS = 20;

interface ServerData {
  readonly uffd: number;
  readonly kind: UserfaultfdKind;
  readonly stop: number;
  readonly copies: boolean;
  readonly cpu: number;
  readonly faults: Int32Array;
}

const kernel = createLibcKernel();
if (isMainThread) {
  const [pages, passes, fill, mutatorCpu, serverCpu] = process.argv.slice(2);
  await main(Number(pages), Number(passes) + 1, fill === 'copy', Number(mutatorCpu), Number(serverCpu));
} else {
  serve(workerData as ServerData);
}

async function main(
  pages: number,
  passes: number,
  copies: boolean,
  mutatorCpu: number,
  serverCpu: number,
): Promise<void> {
  const bytes = pages * PAGE_BYTES;
  // Two windows and the alignment that their real address needs.
  const size = Math.ceil((2 * bytes + PAGE_BYTES) / 65536);
  const memory = new WebAssembly.Memory({ initial: size, maximum: size, shared: true });
  const base = addressOf(new Uint8Array(memory.buffer));
  const window = 0;
  const alias = bytes;
  const file = Memfd.create(kernel, 'floor-fault', bytes);
  file.map(base + window, bytes);
  file.map(base + alias, bytes);
  new Uint8Array(memory.buffer, alias, bytes).fill(CONTENTS);
  const uffd = Userfaultfd.open(kernel);
  uffd.register(base + window, bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
  const stop = StopSignal.create(kernel);
  const faults = new Int32Array(new SharedArrayBuffer(4));
  const server = new Worker(new URL(import.meta.url), {
    workerData: {
      uffd: uffd.fd,
      kind: uffd.kind,
      stop: stop.fd,
      copies,
      cpu: serverCpu,
      faults,
    } satisfies ServerData,
  });
  await new Promise((resolve, reject) => server.once('message', resolve).once('error', reject));
  const ended = new Promise((resolve) => server.once('exit', resolve));
  if (mutatorCpu >= 0) pin(kernel, 0, [mutatorCpu]);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

  const words = new Uint32Array(memory.buffer, window, bytes / 4);
  const us = new Float64Array(pages).fill(1);
  let sum = 0;
  for (let pass = 0; pass < passes; pass++) {
    if (copies) file.punch(0, bytes);
    else
      check(
        kernel.madvise(base + window, bytes, MADV_DONTNEED),
        'madvise',
        'dropping the page tables of the window',
      );
    sum += touch(words, us);
  }
  stop.signal();
  await ended;
  uffd.unregister(base + window, bytes);
  uffd.close();
  stop.close();
  const samples: FaultSamples = { faults: faults[0]!, sum, clockUs: clockUs(), us: [...us] };
  process.stdout.write(`${JSON.stringify(samples)}\n`);
  file.close();
}

/** Reads the first word of every page; notes how long each took. */
function touch(words: Uint32Array, us: Float64Array): number {
  let sum = 0;
  for (let page = 0; page < us.length; page++) {
    const start = performance.now();
    sum += words[(page * PAGE_BYTES) >> 2]!;
    us[page] = (performance.now() - start) * 1000;
  }
  return sum;
}

function clockUs(): number {
  const start = performance.now();
  let last = start;
  for (let i = 0; i < 100_000; i++) last = performance.now();
  return ((last - start) * 1000) / 100_000;
}

function serve(data: ServerData): void {
  if (data.cpu >= 0) pin(kernel, 0, [data.cpu]);
  const uffd = Userfaultfd.adopt(kernel, data.uffd, data.kind);
  const reader = new FaultReader(kernel, data.uffd);
  const source = new Uint8Array(PAGE_BYTES).fill(CONTENTS);
  const sourceAddress = addressOf(source);
  parentPort?.postMessage('ready');
  let faults = 0;
  serveFaults({
    kernel,
    reader,
    uffdFd: data.uffd,
    stopFd: data.stop,
    idleTimeoutMs: -1,
    onFaults: (count) => {
      for (let i = 0; i < count; i++) {
        const address = reader.address(i);
        const page = address - (address % PAGE_BYTES);
        const done = data.copies
          ? uffd.copy(page, sourceAddress, PAGE_BYTES)
          : uffd.continue(page, PAGE_BYTES);
        if (done !== PAGE_BYTES) check(done, 'ioctl', 'installing a page');
        faults++;
      }
    },
  });
  data.faults[0] = faults;
  // Keeps the source alive up to here.
  if (source[0] !== CONTENTS) throw new Error('the source page changed');
}
