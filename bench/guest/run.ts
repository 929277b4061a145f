// Runs a workload as a WebAssembly guest on a managed heap (sources: assembly).

import { readFileSync } from 'node:fs';
import { GUEST_MODULE, type HeapAccess, type Mutator } from 'tospace';
import * as binaryTrees from '../workloads/binary-trees-plan.ts';
import * as gcbench from '../workloads/gcbench-plan.ts';
import * as hyperalloc from '../workloads/hyperalloc-plan.ts';
import * as lruCache from '../workloads/lru-cache-plan.ts';
import * as pointerChase from '../workloads/pointer-chase-plan.ts';
import * as quads from '../workloads/quads-plan.ts';
import * as mistakes from '../workloads/references-mistakes.ts';
import * as references from '../workloads/references-plan.ts';
import * as splay from '../workloads/splay-plan.ts';

/** What a guest needs of a workload's context. */
export interface GuestContext {
  readonly heap: HeapAccess;
  /** Running: the guest is called inside `mutator.run`. */
  readonly mutator: Mutator;
  readonly seed: number;
  readonly scale: number;
  /** How much `hyperalloc` keeps alive, in bytes of the managed heap; without it the scale says. */
  readonly liveBytes?: number;
  /** Which of several threads this is, from 0. */
  readonly thread?: number;
  /** Told of the beginning and the end of every operation; `begin` may wait in a safe region. */
  readonly operations?: { begin(): void; end(): void };
  /** Asks for a cycle and does not wait for it. */
  collect?(): void;
  progress(done: number): void;
}

/** The module's exports: each takes the ids of its types and the sizes of its work, in the order of its parameters (assembly). */
type Guest = Readonly<
  Record<
    'gcbench' | 'binaryTrees' | 'lruCache' | 'splay' | 'quads' | 'hyperalloc' | 'pointerChase' | 'references',
    (...numbers: number[]) => number
  >
>;

interface Form {
  /** For guests that ask: trees of a depth, and how many of them are one operation. */
  readonly treesOf?: (scale: number, depth: number) => number;
  readonly treesPerOperation?: (depth: number) => number;
  run(guest: Guest, context: GuestContext): number;
}

const gcbenchForm = (plan: gcbench.GcBenchPlan): Form => ({
  treesOf: (scale, depth) => gcbench.treesOf(plan, scale, depth),
  treesPerOperation: gcbench.treesPerOperation,
  run: (guest, { heap, scale, thread = 0 }) =>
    guest.gcbench(
      heap.defineRecordLayout('gcbench.Node', 24, [8, 12]),
      heap.defineArray('gcbench.Doubles', 'f64').id,
      plan.stretchDepth,
      plan.longLivedDepth,
      plan.arrayLength,
      plan.depthMin,
      plan.depthMax,
      plan.depthStep,
      gcbench.roundsOf(plan, scale),
      gcbench.firstSerial(thread),
    ),
});

const FORMS: Readonly<Record<string, Form>> = {
  gcbench: gcbenchForm(gcbench.GCBENCH),
  'gcbench-mt': gcbenchForm(gcbench.GCBENCH_MT),
  'binary-trees': {
    treesOf: binaryTrees.iterationsOf,
    treesPerOperation: binaryTrees.treesPerOperation,
    run: (guest, { heap, scale }) =>
      guest.binaryTrees(
        heap.defineRecordLayout('binary-trees.Node', 16, [8, 12]),
        binaryTrees.DEPTH_MIN,
        binaryTrees.depthMaxOf(scale),
      ),
  },
  'lru-cache': {
    run: (guest, { heap, scale, seed }) => {
      const capacity = lruCache.capacityOf(scale);
      return guest.lruCache(
        heap.defineRecordLayout('lru-cache.Cache', 24, [8, 12, 16]),
        heap.defineRecordLayout('lru-cache.Entry', 32, [8, 12, 16, 20]),
        heap.defineRefArray('lru-cache.Table').id,
        heap.defineArray('lru-cache.Value', 'u32').id,
        seed,
        lruCache.lookupsOf(scale),
        capacity,
        lruCache.bucketsOf(capacity),
        lruCache.keysOf(capacity),
        lruCache.LOOKUPS_PER_OPERATION,
        lruCache.REPLACE_EVERY,
      );
    },
  },
  splay: {
    run: (guest, { heap, scale, seed }) =>
      guest.splay(
        heap.defineRecordLayout('splay.Tree', 16, [8, 12]),
        heap.defineRecordLayout('splay.Node', 24, [8, 12, 16]),
        heap.defineRecordLayout('splay.Branch', 16, [8, 12]),
        heap.defineRecordLayout('splay.Leaf', 16, [8, 12]),
        heap.defineArray('splay.Array', 'i32').id,
        heap.defineArray('splay.Text', 'u8').id,
        seed,
        splay.operationsOf(scale),
        splay.sizeOf(scale),
        splay.MODIFICATIONS_PER_OPERATION,
        splay.PAYLOAD_DEPTH,
        splay.ARRAY_LENGTH,
      ),
  },
  quads: {
    run: (guest, { heap, scale }) =>
      guest.quads(
        heap.defineRecordLayout('quads.Quad', 32, [8, 12, 16, 20]),
        quads.liveDepthOf(scale),
        quads.ROUNDS,
        quads.operationsPerRound(scale),
        quads.TREES_PER_OPERATION,
        quads.GARBAGE_DEPTH,
      ),
  },
  hyperalloc: {
    run: (guest, { heap, scale, liveBytes, seed }) =>
      guest.hyperalloc(
        heap.defineRecordLayout('hyperalloc.Item', 16, [8]),
        heap.defineArray('hyperalloc.Data', 'i32').id,
        heap.defineRefArray('hyperalloc.Refs').id,
        seed,
        hyperalloc.operationsOf(scale),
        hyperalloc.slotsOf(scale, liveBytes),
        hyperalloc.YOUNG,
        hyperalloc.ITEMS_PER_OPERATION,
        hyperalloc.SURVIVES_EVERY,
        hyperalloc.SWAPS_PER_OPERATION,
      ),
  },
  'pointer-chase': {
    run: (guest, { heap, scale, seed }) => {
      const nodes = pointerChase.nodesOf(scale);
      return guest.pointerChase(
        heap.defineRecordLayout('pointer-chase.Node', 64, [8]),
        heap.defineRefArray('pointer-chase.Table').id,
        heap.defineArray('pointer-chase.Places', 'i32').id,
        seed,
        nodes,
        pointerChase.roundsOf(scale),
        pointerChase.renewalsOf(nodes),
        pointerChase.CHASES,
        pointerChase.STEPS_PER_OPERATION,
        pointerChase.GARBAGE_PER_OPERATION,
      );
    },
  },
  references: {
    run: (guest, { heap, scale, seed }) =>
      guest.references(
        heap.defineRecordLayout('references.Subject', 16, [8]),
        heap.defineArray('references.Data', 'i32').id,
        heap.defineRecordLayout('references.Value', 16, [8]),
        heap.defineWeakRecord('references.Weak', { id: 'i32' }).id,
        heap.defineEphemeron('references.Entry').id,
        heap.defineRefArray('references.Refs').id,
        seed,
        references.operationsOf(scale),
        references.subjectsOf(scale),
        references.GRAVES,
        references.GUARD_EVERY,
        references.REPLACEMENTS_PER_OPERATION,
        references.GRAVES_PER_OPERATION,
        // Without a collector nothing is ever cleared.
        Number(heap.options.collector !== 'none'),
      ),
  },
};

/** Names of the workloads that have a guest. */
export const GUESTS: readonly string[] = Object.keys(FORMS);

const modules = new Map<string, WebAssembly.Module>();

/** In a verifying heap the build whose every access is checked. */
function guestModule(checked: boolean): WebAssembly.Module {
  const file = checked ? './guest.checked.wasm' : './guest.wasm';
  const module = modules.get(file) ?? new WebAssembly.Module(readFileSync(new URL(file, import.meta.url)));
  modules.set(file, module);
  return module;
}

/** Runs the workload `name` as a guest and returns its checksum, which is that of every other form. @throws RangeError if it has none */
export function runGuest(name: string, context: GuestContext): number {
  const form = Object.hasOwn(FORMS, name) ? FORMS[name] : undefined;
  if (form === undefined) throw new RangeError(`${name} is not one of ${GUESTS.join(', ')}`);
  const { heap, mutator, scale, operations } = context;
  const { memory, functions } = mutator.guest;
  const instance = new WebAssembly.Instance(guestModule(heap.options.verify === 'full'), {
    env: { memory },
    [GUEST_MODULE]: functions,
    operations: {
      begin: () => operations?.begin(),
      end: () => operations?.end(),
      collect: () => context.collect?.(),
      progress: (done: number) => context.progress(done),
    },
    plan: {
      treesOf: (depth: number) => form.treesOf?.(scale, depth),
      treesPerOperation: (depth: number) => form.treesPerOperation?.(depth),
    },
    references: { ...mistakes },
  });
  return mutator.scope(() => form.run(instance.exports as unknown as Guest, context)) >>> 0;
}
