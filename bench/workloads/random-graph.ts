// A random mutator checked against a model: every change to a graph on the managed heap is made to a twin of plain JavaScript objects
// too, and at intervals the whole reachable graph is compared, object by object, reference by reference, word by word.
//
//   operations   allocate and link; link two reachable objects; unlink; drop a root; rewrite contents; read an object back
//   roots        48 handles on the shadow stack and 16 persistent ones
//   objects      small records, records with 70 references, arrays of references and of raw data, from empty ones to 40 000 bytes
//
// The comparison must know which object is which although objects move, and it is itself full of safepoints. So it keeps the objects
// that it has met in an array on the managed heap, which the collector keeps up to date, in the order in which the model meets them: a
// reference is right if it equals the entry of the object that the model names.
//
// An error names the seed and the operation; the same seed and scale do the same again. (What the collector does meanwhile is up to the
// scheduler: a race may take more than one run to come back.)

import { type Local, type Mutator, NULL, type Persistent, type Ref } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import { differs, GraphHeap } from './graph-heap.ts';
import { chooseKind, chooseLength, ModelObject, REFS, reachable } from './graph-model.ts';
import { Random } from './random.ts';
import type { Workload, WorkloadContext } from './workload.ts';

/** Operations at scale 1. */
const OPERATIONS = 10_000_000;
/** Operations between two comparisons, some 9 MB of allocation; fewer in short runs, for this many comparisons at least. */
const COMPARE_EVERY_MAX = 100_000;
const COMPARISONS_MIN = 10;
/** Steps between two looks at the clock. */
const STEPS_PER_OPERATION = 64;
/** Above this many reachable bytes, roots are dropped until half of it is left. */
const LIVE_BYTES_MAX = 12 * 1024 * 1024;
const LOCAL_ROOTS = 48;
const PERSISTENT_ROOTS = 16;
const ROOTS = LOCAL_ROOTS + PERSISTENT_ROOTS;
/** One new object in this many replaces a root. */
const ROOT_EVERY = 200;
/** Longest random walk from a root. */
const WALK_STEPS_MAX = 10;

/** What is done how often, in hundredths; the rest reads an object back. */
const ALLOCATE = 40;
const LINK = ALLOCATE + 24;
const UNLINK = LINK + 8;
const REWRITE = UNLINK + 12;
/** One operation in this many drops a root instead. */
const DROP_EVERY = 4000;

class RandomGraph {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #random: Random;
  readonly #graph: GraphHeap;
  readonly #roots: (ModelObject | null)[] = new Array(ROOTS).fill(null);
  readonly #locals: Local[] = [];
  readonly #persistents: Persistent[] = [];
  #traversal = 0;
  #id = 0;
  /** Where the last walk ended. The reference is good until the next safepoint. */
  #model: ModelObject | null = null;
  #ref: Ref = NULL;

  constructor({ heap, mutator, seed }: WorkloadContext) {
    this.#m = mutator;
    this.#random = new Random(seed);
    this.#graph = new GraphHeap(heap, mutator);
    for (let i = 0; i < LOCAL_ROOTS; i++) this.#locals.push(mutator.local(NULL));
    for (let i = 0; i < PERSISTENT_ROOTS; i++) this.#persistents.push(mutator.persist(NULL));
  }

  close(): void {
    for (const persistent of this.#persistents) persistent.close();
  }

  /** One random operation. A safepoint. */
  step(): void {
    this.#m.safepoint();
    const choice = this.#random.below(100);
    if (this.#random.below(DROP_EVERY) === 0) this.#setRoot(this.#random.below(ROOTS), null, NULL);
    else if (choice < ALLOCATE) this.#allocate();
    else if (choice < LINK) this.#link();
    else if (choice < UNLINK) this.#unlink();
    else if (choice < REWRITE) this.#rewrite();
    else if (this.#walk()) this.checksum = this.#graph.read(this.#ref, this.#model!, this.checksum);
  }

  #rootRef(index: number): Ref {
    return index < LOCAL_ROOTS
      ? this.#m.get(this.#locals[index])
      : this.#persistents[index - LOCAL_ROOTS].get();
  }

  #setRoot(index: number, model: ModelObject | null, ref: Ref): void {
    this.#roots[index] = model;
    if (index < LOCAL_ROOTS) this.#m.set(this.#locals[index], ref);
    else this.#persistents[index - LOCAL_ROOTS].set(ref);
  }

  /** Walks the model and the heap side by side from a random root. False if that root is null. No safepoint. */
  #walk(): boolean {
    const random = this.#random;
    const root = random.below(ROOTS);
    let model = this.#roots[root];
    let ref = this.#rootRef(root);
    if (model === null) return false;
    for (let steps = random.below(WALK_STEPS_MAX + 1); steps > 0 && model.refs.length > 0; steps--) {
      const slot = random.below(model.refs.length);
      const next: ModelObject | null = model.refs[slot];
      const nextRef = this.#graph.getSlot(ref, model, slot);
      if ((next === null) !== (nextRef === NULL))
        differs(model, `reference ${slot}`, nextRef, next === null ? 0 : next.id);
      if (next === null) break;
      model = next;
      ref = nextRef;
    }
    this.#graph.readHeader(ref, model);
    this.#model = model;
    this.#ref = ref;
    return true;
  }

  #allocate(): void {
    const random = this.#random;
    const kind = chooseKind(random);
    const model = new ModelObject(++this.#id, kind, chooseLength(random, kind), random.next() | 0);
    const ref = this.#graph.allocate(model);
    // No safepoint from here on: `ref` stays good.
    const slots = model.refs.length;
    for (let left = slots === 0 ? 0 : 2 + (slots >> 4); left > 0; left--) {
      const slot = random.below(slots);
      if (this.#walk()) this.#store(model, ref, slot, this.#model, this.#ref);
    }
    // Most new objects hang on older ones, in which marking may be done already; those that find none become roots.
    const root = random.below(ROOTS);
    if (this.#roots[root] === null || random.below(ROOT_EVERY) === 0) this.#setRoot(root, model, ref);
    else if (this.#walk() && this.#model!.refs.length > 0) {
      this.#store(this.#model!, this.#ref, random.below(this.#model!.refs.length), model, ref);
    }
  }

  #store(model: ModelObject, ref: Ref, slot: number, target: ModelObject | null, targetRef: Ref): void {
    model.refs[slot] = target;
    this.#graph.setSlot(ref, model, slot, targetRef);
  }

  #link(): void {
    if (!this.#walk() || this.#model!.refs.length === 0) return;
    const model = this.#model!;
    const ref = this.#ref;
    const slot = this.#random.below(model.refs.length);
    if (this.#walk()) this.#store(model, ref, slot, this.#model, this.#ref);
  }

  #unlink(): void {
    if (!this.#walk() || this.#model!.refs.length === 0) return;
    this.#store(this.#model!, this.#ref, this.#random.below(this.#model!.refs.length), null, NULL);
  }

  #rewrite(): void {
    const value = this.#random.next() | 0;
    if (!this.#walk() || this.#model!.kind === REFS) return;
    this.#model!.value = value;
    this.#graph.write(this.#ref, this.#model!);
  }

  /** Compares all that is reachable with the model. @throws Error that tells what differs */
  compare(): void {
    const m = this.#m;
    const graph = this.#graph;
    const objects = reachable(this.#roots, ++this.#traversal);
    const released = m.shadowStack.depth;
    const met = m.local(m.allocateArray(graph.refs, objects.length));
    let last = 0;
    /** The reference where the model has `target`: the object's first mention enters it, later ones must agree with that. */
    const meet = (holder: ModelObject | null, what: string, ref: Ref, target: ModelObject | null): void => {
      const at = m.get(met);
      let expected: number = NULL;
      if (target !== null && target.order === last && ref !== NULL) {
        m.setElement(at, last++, ref);
        return;
      }
      if (target !== null) expected = m.getElement(at, target.order);
      if (ref !== expected || (target !== null && ref === NULL))
        differs(holder ?? target!, what, ref, expected);
    };
    this.#roots.forEach((root, i) => {
      const ref = this.#rootRef(i);
      if (root === null && ref !== NULL) throw new Error(`root ${i} is ${ref}, the model says null`);
      if (root !== null) meet(null, `root ${i}`, ref, root);
    });
    for (const model of objects) {
      m.safepoint();
      const ref = m.getElement(m.get(met), model.order);
      this.checksum = graph.read(ref, model, this.checksum);
      const { refs } = model;
      for (let i = 0; i < refs.length; i++) meet(model, 'a reference', graph.getSlot(ref, model, i), refs[i]);
    }
    this.#assertDistinct(m.get(met), objects.length);
    m.shadowStack.truncate(released);
    this.checksum = addWord(this.checksum, objects.length);
    this.#limit(objects);
  }

  /** Two objects of the model are never one on the heap. */
  #assertDistinct(met: Ref, count: number): void {
    const first = (met + 8) >> 2;
    const refs = this.#m.i32.slice(first, first + count).sort();
    for (let i = 1; i < count; i++) {
      if (refs[i] === refs[i - 1])
        throw new Error(`two objects of the model are the same one on the heap, ${refs[i]}`);
    }
  }

  /** Drops random roots while too much is alive. */
  #limit(all: readonly ModelObject[]): void {
    let objects = all;
    const bytes = (): number => objects.reduce((sum, object) => sum + object.bytes, 0);
    if (bytes() <= LIVE_BYTES_MAX) return;
    do {
      for (let i = 0; i < 4; i++) this.#setRoot(this.#random.below(ROOTS), null, NULL);
      this.#m.safepoint();
      objects = reachable(this.#roots, ++this.#traversal);
    } while (bytes() > LIVE_BYTES_MAX / 2);
  }
}

function run(context: WorkloadContext): number {
  const { operations, progress, scale, seed } = context;
  const steps = Math.max(1, Math.round(OPERATIONS * scale));
  const every = Math.min(COMPARE_EVERY_MAX, Math.ceil(steps / COMPARISONS_MIN));
  const graph = new RandomGraph(context);
  let step = 0;
  let comparison = every;
  try {
    while (step < steps) {
      const end = Math.min(steps, comparison, step + STEPS_PER_OPERATION);
      operations.begin();
      for (; step < end; step++) graph.step();
      operations.end();
      if (step !== comparison) continue;
      comparison += every;
      graph.compare();
      progress(step / steps);
    }
    graph.compare();
  } catch (error) {
    const where = `random-graph, seed ${seed}, operation ${step} of ${steps}`;
    if (error instanceof Error) error.message = `${where}: ${error.message}`;
    throw error;
  } finally {
    graph.close();
  }
  progress(1);
  return graph.checksum >>> 0;
}

export const randomGraph: Workload = {
  name: 'random-graph',
  summary: 'a random graph mutator whose whole heap is compared with a model of plain JavaScript objects',
  run,
};
