// The TypeScript half of `bench floor`'s kernels: the real stop-the-world collector on a graph in which everything is live.
//
// kernels-child <local|scattered> <objects> <cycles> <heap MiB>; prints KernelSamples. kernels.c builds the same graph.
import {
  type CycleReport,
  createHeap,
  type Mutator,
  NULL,
  type PhaseName,
  type RecordType,
  type Ref,
} from 'tospace';
import type { KernelSamples } from './samples.ts';

const MIB = 1024 * 1024;
/** Cycles until the pages of both memfds are allocated and mapped. */
const WARM_UP = 2;
/** Header, two references, two words. */
const NODE_BYTES = 24;

type Node = RecordType<'left' | 'right' | 'first' | 'second'>;

let seed = 0x9e3779b9;

/** The xorshift generator that kernels.c uses. */
function randomBelow(n: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % n;
}

/**
 * Every object names the next one of an order, so that all are reachable, and another: in `local` the order is that of allocation
 * and the other is at most 32 objects away; in `scattered` both are random. The root is object 0.
 */
function build(mutator: Mutator, node: Node, scattered: boolean, n: number): void {
  const { left, right, first, second } = node.offset;
  const { i32 } = mutator;
  // References kept outside handles: nothing asks for a collection before the graph is complete.
  const objects = new Int32Array(n);
  const order = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const ref = mutator.allocate(node);
    objects[i] = ref;
    i32[(ref + first) >> 2] = i;
    i32[(ref + second) >> 2] = ~i;
    order[i] = i;
  }
  if (scattered) {
    for (let k = n - 1; k > 1; k--) {
      const j = 1 + randomBelow(k);
      const other = order[k]!;
      order[k] = order[j]!;
      order[j] = other;
    }
  }
  for (let k = 0; k < n; k++) {
    const ref = objects[order[k]!] as Ref;
    mutator.setRef(ref, left, k + 1 < n ? (objects[order[k + 1]!] as Ref) : NULL);
    let to = randomBelow(scattered ? n : 64);
    if (!scattered) to = Math.min(Math.max(k + to - 32, 0), n - 1);
    mutator.setRef(ref, right, objects[to] as Ref);
  }
  mutator.local(objects[0] as Ref);
}

/** 0 when an object is not where sliding compaction puts it. */
function checksum(mutator: Mutator, node: Node, root: number, n: number): number {
  const { left, right, first, second } = node.offset;
  const { i32 } = mutator;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const ref = (root + i * NODE_BYTES) as Ref;
    if (mutator.typeId(ref) !== node.id || i32[(ref + first) >> 2] !== i || i32[(ref + second) >> 2] !== ~i)
      return 0;
    const l = mutator.getRef(ref, left);
    const r = mutator.getRef(ref, right);
    sum = (Math.imul(sum, 31) + ((l === NULL ? 1 : l - root) ^ ((r - root) << 1))) | 0;
  }
  return sum >>> 0;
}

const [graph, objectCount, cycleCount, heapMib] = process.argv.slice(2);
const n = Number(objectCount);
const cycles = Number(cycleCount);
const heap = await createHeap({
  heap: Number(heapMib) * MIB,
  collector: 'stop-the-world',
  trigger: 0.95,
});
const reports: CycleReport[] = [];
heap.on('cycle', (report) => reports.push(report));
const node: Node = heap.defineRecord('Node', { left: 'ref', right: 'ref', first: 'i32', second: 'i32' });
const mutator = heap.attach();
let sum = 0;
mutator.run(() => {
  build(mutator, node, graph === 'scattered', n);
  for (let i = 0; i < cycles + WARM_UP; i++) mutator.collect();
  sum = checksum(mutator, node, mutator.shadowStack.peek(0), n);
  mutator.shadowStack.truncate(0);
});
// The reports are events: they arrive when this thread's loop turns.
while (reports.length < cycles + WARM_UP) await new Promise((resolve) => setTimeout(resolve, 1));
mutator.detach();
await heap.close();
const phase = (name: PhaseName): number[] => reports.slice(WARM_UP).map((report) => report.phasesMs[name]!);
const { liveBytes } = reports.at(-1)!;
const samples: KernelSamples = {
  objects: liveBytes / NODE_BYTES,
  liveBytes,
  checksum: sum,
  markMs: phase('mark'),
  // The kernel alone, as on the other side: what else the phase does takes as long for any heap.
  planMs: reports.slice(WARM_UP).map((report) => report.planKernelMs),
  compactMs: phase('compact'),
};
process.stdout.write(`${JSON.stringify(samples)}\n`);
