// Models: what the objects of a heap should look like. Objects of the runtime's are compared with them, and made after them.

import type { Ref } from '../heap/ref.ts';
import type { ModelObject } from './embedder.ts';
import type { Mistake } from './mistakes.ts';
import type { Random } from './random.ts';
import { type AnyType, lengthsOf, type Rig, slotName } from './rig.ts';

/** Where an object is not what its model says. */
export interface Difference {
  readonly type?: string;
  readonly field?: string;
  readonly what: string;
  /** What is to blame, where that is plain. */
  readonly mistake?: Mistake;
  /** What is there is no reference at all. */
  readonly flawed?: boolean;
}

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

/**
 * Compares an object, and all that it refers to, with a model: contents, references, and that what is one object there is one here. Calls
 * nothing of the runtime's that could be a safepoint.
 * @returns the first difference, undefined where there is none.
 */
export function compare(rig: Rig, ref: Ref, model: ModelObject | null): Difference | undefined {
  return compareAll(rig, [[ref, model]]);
}

export function compareAll(
  rig: Rig,
  pairs: readonly (readonly [Ref, ModelObject | null])[],
): Difference | undefined {
  const models = new Map<ModelObject, Ref>();
  const refs = new Map<Ref, ModelObject>();
  const queue: ModelObject[] = [];
  let flawed = false;
  const flawOf = (ref: Ref): string | undefined => {
    const flaw = rig.flaw(ref);
    flawed = flaw !== undefined;
    return flaw;
  };
  const meet = (ref: Ref, model: ModelObject | null): string | undefined => {
    if (model === null) {
      if (ref === 0) return undefined;
      const flaw = flawOf(ref);
      return `${hex(ref)} instead of null${flaw === undefined ? '' : `, which is no reference either (${flaw})`}`;
    }
    if (ref === 0) return `null instead of an object of type ${model.type}`;
    const known = models.get(model);
    if (known !== undefined)
      return known === ref ? undefined : `${hex(ref)} instead of ${hex(known)}, where that object is`;
    const other = refs.get(ref);
    if (other !== undefined) return `${hex(ref)}, which is another object, of type ${other.type}`;
    const flaw = flawOf(ref);
    if (flaw !== undefined) return `${hex(ref)}, which is no object (${flaw})`;
    if (rig.nameOf(ref) !== model.type)
      return `${hex(ref)}, an object of type ${rig.nameOf(ref)} instead of ${model.type}`;
    models.set(model, ref);
    refs.set(ref, model);
    queue.push(model);
    return undefined;
  };
  for (const [ref, model] of pairs) {
    const wrong = meet(ref, model);
    if (wrong !== undefined) return { what: `it is ${wrong}`, flawed };
  }
  for (let model = queue.pop(); model !== undefined; model = queue.pop()) {
    const ref = models.get(model)!;
    const type = rig.type(model.type);
    if (model.data !== undefined) {
      const data = type.data?.read(rig.runtime, ref);
      if (data !== model.data)
        return {
          type: type.name,
          what: `the data is ${clip(String(data))} instead of ${clip(model.data)}`,
        };
    }
    for (const [slot, target] of model.slots.entries()) {
      const wrong = meet(type.read(rig.runtime, ref, slot), target);
      if (wrong !== undefined)
        return { type: type.name, field: slotName(type, slot), what: `the field holds ${wrong}`, flawed };
    }
  }
  return undefined;
}

function clip(text: string): string {
  return text.length > 40 ? `${JSON.stringify(text.slice(0, 40))}…` : JSON.stringify(text);
}

/** A new object of a type, filled with data; all its references are null. A safepoint. */
export function make(rig: Rig, random: Random, type: AnyType): { ref: Ref; model: ModelObject } {
  const length = random.pick(lengthsOf(type));
  const ref = rig.allocate(type, length);
  const slots = type.slots(length);
  for (let i = 0; i < slots; i++) type.write(rig.runtime, ref, i, 0 as Ref);
  type.data?.write(rig.runtime, ref, random.next());
  return {
    ref,
    model: {
      type: type.name,
      slots: new Array<null>(slots).fill(null),
      data: type.data?.read(rig.runtime, ref),
    },
  };
}
