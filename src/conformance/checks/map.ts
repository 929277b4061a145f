// Map: the words that the collector takes for references are those in which the runtime keeps them.
//
// Where a slot lies is found by writing to it. Then every word of an object is made to hold one and the same reference, everything moves,
// and the words that were rewritten are the collector's map.

import { HEADER_BYTES } from '../../heap/layout.ts';
import type { Persistent } from '../../heap/persistent.ts';
import type { Ref } from '../../heap/ref.ts';
import { type AnyType, lengthsOf, Rig, slotName } from '../rig.ts';
import { type Check, count, hex, type Symptom, Symptoms } from './check.ts';

/** An object whose words all hold the same reference. */
interface Probe {
  readonly type: AnyType;
  readonly object: Persistent;
  readonly bytes: number;
  /** Name of the slot at an offset. */
  readonly slots: ReadonlyMap<number, string>;
  readonly restore: () => void;
}

export const map: Check = {
  blames: 'wrong-map',

  async run(embedder, { at }) {
    const rig = await Rig.create(embedder, { collector: 'stop-the-world' }, true);
    const symptoms = new Symptoms();
    let words = 0;
    rig.m.run(() => {
      const target = rig.m.persist(rig.leaf());
      const other = rig.m.persist(rig.leaf());
      const probes = embedder.types.flatMap((type) =>
        lengthsOf(type).map((length) => prepare(rig, type, length, target, other)),
      );
      for (const { object, bytes } of probes) {
        for (let at = HEADER_BYTES; at < bytes; at += 4) rig.m.i32[(object.get() + at) >> 2] = target.get();
        words += (bytes - HEADER_BYTES) / 4;
      }
      const old = target.get();
      at({});
      rig.collect();
      for (const probe of probes) {
        for (const found of compareMap(rig, probe, old, target.get())) symptoms.add(found);
        probe.restore();
      }
    });
    return { findings: symptoms.list, covered: `${count(words, 'word')} probed by a collection` };
  },
};

function prepare(rig: Rig, type: AnyType, length: number, target: Persistent, other: Persistent): Probe {
  const { m, runtime } = rig;
  const object = m.persist(rig.allocate(type, length));
  const ref = object.get();
  const { bytes } = rig.shape(ref);
  const slots = new Map<number, string>();
  const word = (offset: number): number => m.i32[(ref + offset) >> 2]!;
  for (let slot = 0; slot < type.slots(length); slot++) {
    const previous = type.read(runtime, ref, slot);
    // Twice, so that what it held by chance is not taken for what was written.
    type.write(runtime, ref, slot, other.get());
    const before = m.i32.slice(ref >> 2, (ref + bytes) >> 2);
    type.write(runtime, ref, slot, target.get());
    for (let at = HEADER_BYTES; at < bytes; at += 4) {
      if (word(at) === target.get() && before[at >> 2] === other.get()) slots.set(at, slotName(type, slot));
    }
    type.write(runtime, ref, slot, previous);
  }
  // What the object held is put back: the runtime may know it. References to other objects wait in handles.
  const held: { at: number; value: number; handle: Persistent | undefined }[] = [];
  for (let at = HEADER_BYTES; at < bytes; at += 4) {
    const value = word(at);
    const isObject = slots.has(at) && value !== 0;
    held.push({ at, value, handle: isObject ? m.persist(value as Ref) : undefined });
  }
  const restore = (): void => {
    for (const { at, value, handle } of held) {
      if (handle === undefined) m.i32[(object.get() + at) >> 2] = value;
      else m.setRef(object.get(), at, handle.get());
      handle?.close();
    }
    object.close();
  };
  return { type, object, bytes, slots, restore };
}

function* compareMap(rig: Rig, probe: Probe, old: number, now: number): Generator<Symptom> {
  const { type, object, bytes, slots } = probe;
  const ref = object.get();
  for (let at = HEADER_BYTES; at < bytes; at += 4) {
    const value = rig.m.i32[(ref + at) >> 2]!;
    const name = slots.get(at);
    const place = { mistake: 'wrong-map', type: type.name, field: name ?? `+${at}` } as const;
    if (value !== old && value !== now) {
      yield { ...place, what: `a collection left ${hex(value)} at +${at}, where ${hex(now)} should be` };
    } else if (name !== undefined && value === old) {
      yield {
        ...place,
        what: `the runtime keeps a reference at +${at}, and the collector's map does not name it: the object it refers to would be lost`,
      };
    } else if (name === undefined && value === now) {
      yield {
        ...place,
        what: `the collector's map takes the word at +${at} for a reference, and the runtime keeps other data there, which would be changed`,
      };
    }
  }
}
