// Roots: what the runtime keeps outside of objects keeps objects alive, and is rewritten when they move.
//
// Each place is given an object that nothing else refers to, and the kit watches the object through a weak record. After a collection that
// moves everything, the object must be alive, and the place must hold its new address.

import type { Persistent } from '../../heap/persistent.ts';
import { NULL, type Ref } from '../../heap/ref.ts';
import type { RootSet } from '../embedder.ts';
import { Random } from '../random.ts';
import { Rig, VERIFIED } from '../rig.ts';
import { type Check, count, hex, Symptoms } from './check.ts';
import { make } from '../model.ts';

/** Places tried in a set: all of a small one, the ends and some in between of a large one. */
const PLACES = 64;
/** Collections: a root could be right by chance once. */
const COLLECTIONS = 2;

interface Watched {
  readonly set: RootSet<unknown>;
  readonly slot: number;
  readonly record: Persistent;
  readonly restore: () => void;
}

export const roots: Check = {
  blames: 'missed-root',

  async run(embedder, { seed, at }) {
    const rig = await Rig.create(embedder, { ...VERIFIED }, true);
    const random = new Random(seed);
    const symptoms = new Symptoms();
    let places = 0;
    rig.m.run(() => {
      const watched = embedder.roots.flatMap((set) => {
        const slots = pickSlots(random, set.slots(rig.runtime));
        return slots.flatMap((slot) => {
          at({ root: `${set.name}[${slot}]` });
          return watchPlace(rig, random, set, slot);
        });
      });
      places = watched.length;
      const lost = new Set<Watched>();
      for (let i = 0; i < COLLECTIONS; i++) {
        at({});
        rig.collect();
        for (const one of watched) {
          if (lost.has(one)) continue;
          const where = rig.watched(one.record);
          const held = one.set.get(rig.runtime, one.slot);
          if (held === where && held !== NULL) continue;
          lost.add(one);
          symptoms.add({
            mistake: 'missed-root',
            root: `${one.set.name}[${one.slot}]`,
            what:
              where === NULL
                ? `a collection did not find the object that only this place refers to, and freed it`
                : `the object moved to ${hex(where)}, and the place still holds ${hex(held)}`,
          });
        }
      }
      if (lost.size === 0) for (const { restore } of watched) restore();
    });
    return {
      findings: symptoms.list,
      covered: `${count(places, 'place')} in ${count(embedder.roots.length, 'set')} of roots`,
    };
  },
};

function pickSlots(random: Random, slots: number): number[] {
  if (slots <= PLACES) return Array.from({ length: slots }, (_, i) => i);
  const some = new Set([0, 1, slots - 2, slots - 1]);
  while (some.size < PLACES) some.add(random.int(slots));
  return [...some].sort((a, b) => a - b);
}

function watchPlace(rig: Rig, random: Random, set: RootSet<unknown>, slot: number): Watched[] {
  const { m, runtime } = rig;
  if (set.set === undefined) {
    const held = set.get(runtime, slot);
    return held === NULL ? [] : [{ set, slot, record: rig.watch(held), restore: () => {} }];
  }
  const type = set.holds === undefined ? random.pick(rig.embedder.types) : rig.type(set.holds);
  const previous = m.persist(set.get(runtime, slot));
  const object = m.persist(make(rig, random, type).ref);
  const record = rig.watch(object.get());
  set.set(runtime, slot, object.get());
  // From here on only the runtime keeps it.
  object.set(NULL);
  object.close();
  const restore = (): void => {
    set.set!(runtime, slot, previous.get() as Ref);
    previous.close();
  };
  return [{ set, slot, record, restore }];
}
