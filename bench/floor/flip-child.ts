// The TypeScript half of `bench floor`'s flip: a real heap with live data, collected again and again by a thread of its own while the
// main thread runs as a mutator, so that it is spinning at a safepoint when the page tables move.
//
// flip-child <used MiB> <cycles>; prints FlipSamples.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { attachHeap, type CycleReport, createHeap, type SharedHeap } from 'tospace';
import type { FlipSamples } from './samples.ts';

const MIB = 1024 * 1024;
const WINDOW_BYTES = 1024 * MIB;
/** Bytes of an array; with its header it fills whole pages. */
const ARRAY_BYTES = MIB;
/** Cycles before both memfds' pages are allocated and mapped everywhere. */
const WARM_UP = 2;

interface RequesterData {
  readonly shared: SharedHeap;
  readonly cycles: number;
  readonly done: Int32Array;
}

if (isMainThread) await main(Number(process.argv[2]), Number(process.argv[3]));
else request(workerData as RequesterData);

async function main(usedMib: number, cycles: number): Promise<void> {
  const heap = await createHeap({
    heap: WINDOW_BYTES,
    collector: 'concurrent',
    trigger: 0.95,
    // The arrays are what moves.
    largeObject: 2 ** 31,
  });
  const reports: CycleReport[] = [];
  heap.on('cycle', (report) => reports.push(report));
  const bytesType = heap.defineArray('Bytes', 'u8');
  const mutator = heap.attach();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const requester = new Worker(new URL(import.meta.url), {
    workerData: { shared: heap.share(), cycles: cycles + WARM_UP, done } satisfies RequesterData,
  });
  const ready = new Promise((resolve, reject) => requester.once('message', resolve).once('error', reject));
  await ready;
  const ended = new Promise((resolve) => requester.once('exit', resolve));
  mutator.run(() => {
    for (let i = 0; i < (usedMib * MIB) / ARRAY_BYTES; i++) {
      const ref = mutator.allocateArray(bytesType, ARRAY_BYTES - 8);
      mutator.u8.fill(3, ref + 8, ref + ARRAY_BYTES);
      mutator.local(ref);
    }
    requester.postMessage('go');
    while (Atomics.load(done, 0) === 0) mutator.safepoint();
    mutator.shadowStack.truncate(0);
  });
  await ended;
  // The reports are events: they arrive when this thread's loop turns.
  while (reports.length < cycles + WARM_UP) await new Promise((resolve) => setTimeout(resolve, 1));
  mutator.detach();
  await heap.close();
  const flips = reports.slice(WARM_UP).map((report) => report.flip);
  const samples: FlipSamples = {
    moveUs: flips.map((flip) => flip.moveUs),
    mapUs: flips.map((flip) => flip.mapUs),
    registerUs: flips.map((flip) => flip.registerUs),
  };
  process.stdout.write(`${JSON.stringify(samples)}\n`);
}

/** Asks for collections, and waits for each in a safe region. */
function request(data: RequesterData): void {
  const mutator = attachHeap(data.shared).attach();
  parentPort?.once('message', () => {
    try {
      mutator.run(() => {
        for (let i = 0; i < data.cycles; i++) mutator.collect();
      });
      mutator.detach();
    } finally {
      Atomics.store(data.done, 0, 1);
    }
  });
  parentPort?.postMessage('ready');
}
