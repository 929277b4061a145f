// Barrier: after every store of a reference into an object that existed before, the card of the slot is dirty.
//
// No timing is involved: without a collector nobody cleans cards. The kit cleans them all, lets the runtime store, finds by comparison which
// words of old objects hold another reference than before, and looks at their cards. A store into an object that is new in the same call
// needs no card, because the marker cannot have met it.

import { NULL, type Ref } from '../../heap/ref.ts';
import { make } from '../model.ts';
import { operandsFor } from '../operands.ts';
import { Random } from '../random.ts';
import { type Change, lengthsOf, Rig, slotName } from '../rig.ts';
import { type Check, count, Symptoms } from './check.ts';

/** How often each operation is tried. */
const ROUNDS = 4;
/** Slots of a long object that are tried: those at both ends, and some between. */
const SLOTS = 24;

export const barrier: Check = {
  blames: 'missed-barrier',

  async run(embedder, { seed, effort, at }) {
    const rig = await Rig.create(embedder, { collector: 'none' });
    const { m, runtime } = rig;
    const random = new Random(seed);
    const symptoms = new Symptoms();
    let stores = 0;
    const look = (
      changes: readonly Change[],
      place: { operation?: string; type?: string; field?: string },
    ) => {
      for (const { object, offset, value, mapped, dirty } of changes) {
        if (!mapped || value === 0 || !rig.isReference(value)) continue;
        stores++;
        if (dirty) continue;
        const type = place.type ?? rig.nameOf(object);
        symptoms.add({
          mistake: 'missed-barrier',
          type,
          field: `+${offset}`,
          ...place,
          what: `a reference was stored at +${offset} of an object of type ${rig.nameOf(object)}, and the card of that slot is clean`,
        });
      }
    };
    m.run(() => {
      // New every time, so that each store changes the word.
      const target = (): Ref => rig.leaf();
      for (const type of embedder.types) {
        for (const length of lengthsOf(type)) {
          const object = m.persist(make(rig, random, type).ref);
          object.set(rig.allocate(type, length));
          for (const slot of someSlots(random, type.slots(length))) {
            const value = target();
            at({ type: type.name });
            const changes = rig.changes(() => type.write(runtime, object.get(), slot, value));
            look(changes, { type: type.name, field: slotName(type, slot) });
            type.write(runtime, object.get(), slot, NULL);
          }
          object.close();
        }
      }
      for (const set of embedder.roots) {
        if (set.set === undefined) continue;
        const type = set.holds === undefined ? embedder.types[0]! : rig.type(set.holds);
        const slot = random.int(set.slots(runtime));
        const { ref } = make(rig, random, type);
        const previous = set.get(runtime, slot);
        look(
          rig.changes(() => set.set!(runtime, slot, ref)),
          { operation: `set ${set.name}` },
        );
        set.set(runtime, slot, previous);
      }
      for (let round = 0; round < ROUNDS * effort; round++) {
        for (const operation of embedder.operations) {
          const operands = operandsFor(rig, random, operation, round);
          at({ operation: operation.name });
          look(
            rig.changes(() => void operation.run(runtime, operands.refs())),
            { operation: operation.name },
          );
          operands.close();
        }
      }
    });
    return { findings: symptoms.list, covered: `${count(stores, 'store')} into old objects` };
  },
};

function someSlots(random: Random, slots: number): number[] {
  if (slots <= SLOTS) return Array.from({ length: slots }, (_, i) => i);
  const some = new Set([0, 1, slots - 2, slots - 1]);
  while (some.size < SLOTS) some.add(random.int(slots));
  return [...some];
}
