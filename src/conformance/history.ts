// Histories: a runtime does random things to its objects, the kit does the same to models, and from time to time all that is reachable is
// compared. What happens depends on the seed alone, not on the collector: so the same history under another collector says whose mistake
// a difference is.

import type { Persistent } from '../heap/persistent.ts';
import { NULL, type Ref } from '../heap/ref.ts';
import type { ModelObject, RootSet } from './embedder.ts';
import { compareAll, type Difference, make } from './model.ts';
import { typeOf } from './operands.ts';
import type { Random } from './random.ts';
import type { Rig } from './rig.ts';

/** Places used of each set of roots. */
const PLACES = 24;
/** Objects alive at which half of the roots are forgotten: a verified collection costs what is alive. */
const OBJECTS_MAX = 400;
/** Steps between comparisons of everything. */
const COMPARE_EVERY = 40;

interface Place {
  readonly set: RootSet<unknown>;
  readonly slot: number;
  model: ModelObject | null;
}

interface Found {
  readonly ref: Ref;
  readonly model: ModelObject;
}

/** Where a history went wrong. */
export interface Divergence extends Difference {
  readonly operation: string;
  readonly step: number;
}

export class History {
  readonly #rig: Rig;
  readonly #random: Random;
  readonly #places: Place[];
  readonly #at: (operation: string) => void;
  #doing = 'attach';

  /** @param at called before each step, with what it does. */
  constructor(rig: Rig, random: Random, at: (operation: string) => void) {
    this.#rig = rig;
    this.#random = random;
    this.#at = at;
    this.#places = rig.embedder.roots
      .filter((set) => set.set !== undefined)
      .flatMap((set) =>
        Array.from({ length: Math.min(PLACES, set.slots(rig.runtime)) }, (_, slot) => ({
          set,
          slot,
          model: null,
        })),
      );
    if (this.#places.length === 0)
      throw new Error('a history needs a set of roots that can be set: describe the stack, or the registers');
  }

  /** Runs so many steps; what the runtime throws is thrown. */
  run(steps: number): Divergence | undefined {
    for (const place of this.#places) this.#put(place, NULL, null);
    for (let step = 0; step < steps; step++) {
      let difference = this.#step();
      if (difference === undefined && step % COMPARE_EVERY === 0) {
        difference = this.#compare();
        if (this.#liveObjects() > OBJECTS_MAX) this.#forget(0.5);
      }
      if (difference !== undefined) return { ...difference, operation: this.#doing, step };
    }
    this.#doing = 'the last collection';
    this.#rig.collect();
    const difference = this.#compare();
    return difference && { ...difference, operation: this.#doing, step: steps };
  }

  #step(): Difference | undefined {
    const { runtime, embedder, m } = this.#rig;
    const random = this.#random;
    const dice = random.int(100);
    if (dice < 30) {
      const type = random.pick(embedder.types);
      this.#do(`allocate ${type.name}`);
      const { ref, model } = make(this.#rig, random, type);
      this.#put(this.#placeFor(model.type), ref, model);
    } else if (dice < 50) {
      const owner = this.#walk((model) => model.slots.length > 0);
      const value = random.int(5) === 0 ? null : this.#walk();
      if (owner === null) return undefined;
      const slot = random.int(owner.model.slots.length);
      this.#do(`write ${owner.model.type}`);
      owner.model.slots[slot] = value?.model ?? null;
      this.#rig.type(owner.model.type).write(runtime, owner.ref, slot, value?.ref ?? NULL);
    } else if (dice < 58) {
      const found = this.#walk((model) => model.data !== undefined);
      if (found === null) return undefined;
      const { data } = this.#rig.type(found.model.type);
      this.#do(`data of ${found.model.type}`);
      data!.write(runtime, found.ref, random.next());
      found.model.data = data!.read(runtime, found.ref);
    } else if (dice < 82) {
      return embedder.operations.length === 0 ? undefined : this.#operate();
    } else if (dice < 90) {
      this.#do('safepoint');
      embedder.safepoint(runtime);
    } else if (dice < 94) {
      const place = random.pick(this.#places);
      const found = this.#walk((model) => place.set.holds === undefined || place.set.holds === model.type);
      this.#do(`set ${place.set.name}`);
      this.#put(place, found?.ref ?? NULL, found?.model ?? null);
    } else if (dice < 96) {
      this.#forget(1 / this.#places.length);
    } else {
      this.#do('collect');
      this.#rig.beginCollection();
    }
    return m.usable ? undefined : { what: 'the mutator is detached' };
  }

  #operate(): Difference | undefined {
    const rig = this.#rig;
    const random = this.#random;
    const operation = random.pick(rig.embedder.operations);
    this.#do(`operands of ${operation.name}`);
    const models: (ModelObject | null)[] = [];
    const handles: Persistent[] = [];
    for (const operand of operation.operands) {
      const isNull = operand === 'any' && random.int(6) === 0;
      const found = isNull ? null : this.#walk((model) => operand === 'any' || model.type === operand);
      const made = isNull || found !== null ? found : make(rig, random, typeOf(rig, random, operand));
      models.push(made?.model ?? null);
      handles.push(rig.m.persist(made?.ref ?? NULL));
    }
    this.#do(operation.name);
    let difference: Difference | undefined;
    if (operation.accepts?.(models) ?? true) {
      const result = operation.run(
        rig.runtime,
        handles.map((handle) => handle.get()),
      );
      const expected = operation.expect(models);
      difference = rig.spill() ?? compareAll(rig, [[result, expected]]);
      if (difference === undefined) this.#put(this.#placeFor(expected?.type), result, expected);
    }
    for (const handle of handles) handle.close();
    return difference;
  }

  #do(what: string): void {
    this.#doing = what;
    this.#at(what);
  }

  #put(place: Place, ref: Ref, model: ModelObject | null): void {
    place.set.set!(this.#rig.runtime, place.slot, ref);
    place.model = model;
  }

  /** A place that may hold the type. */
  #placeFor(type: string | undefined): Place {
    const places = this.#places.filter(({ set }) => set.holds === undefined || set.holds === type);
    return this.#random.pick(places.length > 0 ? places : this.#places);
  }

  /** An object that is reachable and fits, by the runtime's own reads. Not a safepoint. */
  #walk(fits: (model: ModelObject) => boolean = () => true): Found | null {
    const random = this.#random;
    const { runtime } = this.#rig;
    const place = random.pick(this.#places);
    let { model } = place;
    if (model === null) return null;
    let ref = place.set.get(runtime, place.slot);
    let best: Found | null = null;
    for (let hops = random.int(8); ; hops--) {
      if (fits(model)) best = { ref, model };
      if (hops <= 0 || model.slots.length === 0) return best;
      const slot = random.int(model.slots.length);
      const next: ModelObject | null = model.slots[slot]!;
      if (next === null) return best;
      ref = this.#rig.type(model.type).read(runtime, ref, slot);
      model = next;
    }
  }

  /** Forgets a part of the roots. */
  #forget(part: number): void {
    this.#do('forget roots');
    for (const place of this.#places) if (this.#random.int(1000) < part * 1000) this.#put(place, NULL, null);
  }

  #liveObjects(): number {
    const seen = new Set<ModelObject>();
    const queue = this.#places.map(({ model }) => model);
    for (let model = queue.pop(); model !== undefined; model = queue.pop()) {
      if (model === null || seen.has(model)) continue;
      seen.add(model);
      queue.push(...model.slots);
    }
    return seen.size;
  }

  #compare(): Difference | undefined {
    const { runtime } = this.#rig;
    return compareAll(
      this.#rig,
      this.#places.map(({ set, slot, model }) => [set.get(runtime, slot), model] as const),
    );
  }
}
