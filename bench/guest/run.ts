// Runs a workload as a WebAssembly guest on a managed heap (sources: assembly).

import { readFileSync } from 'node:fs';
import { GUEST_MODULE, type HeapAccess, type Mutator } from 'tospace';
import {
  bucketsOf,
  capacityOf,
  DEPTH_MIN,
  depthMaxOf,
  GCBENCH,
  iterationsOf,
  keysOf,
  LOOKUPS_PER_OPERATION,
  lookupsOf,
  REPLACE_EVERY,
  roundsOf,
  treesOf,
  treesPerOperation,
} from './plans.ts';

/** What a guest needs of a workload's context. */
export interface GuestContext {
  readonly heap: HeapAccess;
  /** Running: the guest is called inside `mutator.run`. */
  readonly mutator: Mutator;
  readonly seed: number;
  readonly scale: number;
  /** Told of the beginning and the end of every operation; `begin` may wait in a safe region. */
  readonly operations?: { begin(): void; end(): void };
  progress(done: number): void;
}

/** The module's exports. */
interface Guest {
  gcbench(
    node: number,
    doubles: number,
    stretchDepth: number,
    longLivedDepth: number,
    arrayLength: number,
    depthMin: number,
    depthMax: number,
    depthStep: number,
    rounds: number,
    firstSerial: number,
  ): number;
  binaryTrees(node: number, depthMin: number, depthMax: number): number;
  lruCache(
    cache: number,
    entry: number,
    table: number,
    value: number,
    seed: number,
    lookups: number,
    capacity: number,
    buckets: number,
    keys: number,
    lookupsPerOperation: number,
    replaceEvery: number,
  ): number;
}

interface Form {
  /** Trees of a depth, for the guests that ask. */
  readonly treesOf: (scale: number, depth: number) => number;
  run(guest: Guest, context: GuestContext): number;
}

const FORMS: Readonly<Record<string, Form>> = {
  gcbench: {
    treesOf: (scale, depth) => treesOf(GCBENCH, scale, depth),
    run: (guest, { heap, scale }) =>
      guest.gcbench(
        heap.defineRecordLayout('gcbench.Node', 24, [8, 12]),
        heap.defineArray('gcbench.Doubles', 'f64').id,
        GCBENCH.stretchDepth,
        GCBENCH.longLivedDepth,
        GCBENCH.arrayLength,
        GCBENCH.depthMin,
        GCBENCH.depthMax,
        GCBENCH.depthStep,
        roundsOf(GCBENCH, scale),
        0,
      ),
  },
  'binary-trees': {
    treesOf: iterationsOf,
    run: (guest, { heap, scale }) =>
      guest.binaryTrees(
        heap.defineRecordLayout('binary-trees.Node', 16, [8, 12]),
        DEPTH_MIN,
        depthMaxOf(scale),
      ),
  },
  'lru-cache': {
    treesOf: () => 0,
    run: (guest, { heap, scale, seed }) => {
      const capacity = capacityOf(scale);
      return guest.lruCache(
        heap.defineRecordLayout('lru-cache.Cache', 24, [8, 12, 16]),
        heap.defineRecordLayout('lru-cache.Entry', 32, [8, 12, 16, 20]),
        heap.defineRefArray('lru-cache.Table').id,
        heap.defineArray('lru-cache.Value', 'u32').id,
        seed,
        lookupsOf(scale),
        capacity,
        bucketsOf(capacity),
        keysOf(capacity),
        LOOKUPS_PER_OPERATION,
        REPLACE_EVERY,
      );
    },
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
  const instance = new WebAssembly.Instance(guestModule(heap.options.verify), {
    env: { memory },
    [GUEST_MODULE]: functions,
    operations: {
      begin: () => operations?.begin(),
      end: () => operations?.end(),
      progress: (done: number) => context.progress(done),
    },
    plan: { treesOf: (depth: number) => form.treesOf(scale, depth), treesPerOperation },
  });
  return mutator.scope(() => form.run(instance.exports as unknown as Guest, context)) >>> 0;
}
