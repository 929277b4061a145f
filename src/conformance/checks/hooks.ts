// Hooks: the description agrees with itself, on a heap that never collects. What is written is read, nothing else changes, and what is said
// to be no safepoint is none.

import { NULL, type Ref } from '../../heap/ref.ts';
import { History } from '../history.ts';
import { Random } from '../random.ts';
import { type AnyType, lengthsOf, Rig, slotName } from '../rig.ts';
import { type Check, count, Symptoms, thrown, whereThrown } from './check.ts';

const STEPS = 300;
const HISTORIES = 2;

export const hooks: Check = {
  blames: 'inconsistent-hooks',

  async run(embedder, { seed, effort, at }) {
    const rig = await Rig.create(embedder, {
      collector: 'none',
      heap: 128 * 1024 * 1024,
      stress: { collectEveryAllocation: 1, collectEverySafepoint: 1 },
    });
    const symptoms = new Symptoms();
    rig.m.run(() => {
      for (const type of embedder.types) {
        for (const length of lengthsOf(type)) {
          at({ type: type.name });
          readBack(rig, type, length, symptoms);
        }
      }
      for (let i = 0; i < HISTORIES * effort && symptoms.list.length === 0; i++) {
        let doing = 'attach';
        const history = new History(rig, new Random(seed + i), (operation) => {
          doing = operation;
          at({ operation });
        });
        try {
          const found = history.run(STEPS);
          if (found !== undefined) {
            const { step: _, flawed, ...symptom } = found;
            // Nothing has moved: what is no reference was not one when it was stored.
            const mistake = flawed === true ? 'wrong-map' : 'inconsistent-hooks';
            symptoms.add({ mistake, ...symptom });
          }
        } catch (error) {
          symptoms.add({
            mistake: 'inconsistent-hooks',
            operation: doing,
            what: thrown(error),
            ...whereThrown(error),
          });
        }
      }
    });
    const covered = `${count(embedder.types.length, 'type')}, ${count(embedder.operations.length, 'operation')}, no collection`;
    return { findings: symptoms.list, covered };
  },
};

function readBack(rig: Rig, type: AnyType, length: number, symptoms: Symptoms): void {
  const { runtime, stress } = rig;
  const say = (what: string, field?: string): void =>
    symptoms.add({
      mistake: 'inconsistent-hooks',
      type: type.name,
      ...(field === undefined ? {} : { field }),
      what,
    });
  const ref = rig.allocate(type, length);
  const values: Ref[] = Array.from({ length: type.slots(length) }, () => rig.leaf());
  const asked = stress.asked;
  for (const [slot, value] of values.entries()) {
    type.write(runtime, ref, slot, NULL);
    if (type.read(runtime, ref, slot) !== NULL)
      say('null was written, and something else is read', slotName(type, slot));
    type.write(runtime, ref, slot, value);
  }
  const data = type.data?.write(runtime, ref, 1) ?? type.data?.read(runtime, ref);
  if (data !== type.data?.read(runtime, ref)) say('data is read differently the second time');
  for (const [slot, value] of values.entries()) {
    if (type.read(runtime, ref, slot) !== value)
      say(
        'another object is read than was written, after the other slots and the data were written',
        slotName(type, slot),
      );
  }
  type.data?.write(runtime, ref, 2);
  type.data?.write(runtime, ref, 1);
  if (type.data?.read(runtime, ref) !== data) say('data written with one seed is read differently');
  type.bytes(runtime, ref);
  if (stress.asked !== asked) say('write(), read(), data or bytes() is a safepoint, and must not be one');
}
