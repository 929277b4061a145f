// Size: what the runtime takes an object to have, what the collector takes it to have, and what is really written are one number.
//
// Without a collector, so that objects lie one behind the other as they were allocated. Behind every object the kit puts one of its own,
// and sees whether the runtime's stores reach into it.

import { HEADER_BYTES } from '../../heap/layout.ts';
import { Random } from '../random.ts';
import { type AnyType, lengthsOf, Rig, slotName } from '../rig.ts';
import { type Check, count, hex, Symptoms } from './check.ts';

/** Bytes of the object behind, so that stores far beyond the end are seen too. */
const CANARY_BYTES = 256;
const CANARY = 0xa5;

export const size: Check = {
  blames: 'lying-size',

  async run(embedder, { seed, at }) {
    const rig = await Rig.create(embedder, { collector: 'none' });
    const random = new Random(seed);
    const symptoms = new Symptoms();
    let objects = 0;
    rig.m.run(() => {
      for (const type of embedder.types) {
        at({ type: type.name });
        for (const length of lengthsOf(type)) {
          measure(rig, random, type, length, symptoms);
          objects++;
        }
      }
    });
    return { findings: symptoms.list, covered: `${count(objects, 'object')} measured and filled` };
  },
};

function measure(rig: Rig, random: Random, type: AnyType, length: number, symptoms: Symptoms): void {
  const { runtime, view } = rig;
  const say = (what: string, field?: string): void =>
    symptoms.add({
      mistake: 'lying-size',
      type: type.name,
      ...(field === undefined ? {} : { field }),
      what: type.lengths === undefined ? what : `with the length ${length}: ${what}`,
    });
  const ref = rig.allocate(type, length);
  const flaw = rig.flaw(ref);
  if (flaw !== undefined) {
    say(`allocate() returned ${hex(ref)}, where there is no object (${flaw})`);
    return;
  }
  const { bytes } = rig.shape(ref);
  const claimed = type.bytes(runtime, ref);
  if (Math.ceil(claimed / 8) * 8 !== bytes)
    say(`the runtime takes it to have ${claimed} bytes, the collector ${bytes}`);
  const { start, cursor } = rig.buffer;
  if (ref >= start && ref < cursor && !fills(rig, ref, cursor))
    say(
      `the allocation cursor went to +${cursor - ref}, and the object has ${bytes} bytes: the next one would not begin where this one ends`,
    );
  const header = view.words.slice(ref >>> 2, (ref + HEADER_BYTES) >>> 2);
  const canary = rig.leaf(CANARY_BYTES);
  const target = rig.leaf();
  const first = canary + HEADER_BYTES;
  rig.m.u8.fill(CANARY, first, canary + CANARY_BYTES);
  const before = rig.m.u8.slice(canary, canary + CANARY_BYTES);
  const touched = (): number => before.findIndex((byte, i) => rig.m.u8[canary + i] !== byte);
  const look = (what: string, field?: string): void => {
    const i = touched();
    if (i >= 0) {
      say(`${what} writes at +${canary + i - ref}, behind its ${bytes} bytes, into the next object`, field);
      rig.m.u8.set(before, canary);
    }
    if (view.words[ref >>> 2] !== header[0]! || view.words[(ref >>> 2) + 1] !== header[1]!) {
      say(`${what} changes the header, which says what the object is and how long`, field);
      view.words.set(header, ref >>> 2);
    }
  };
  for (let slot = 0; slot < type.slots(length); slot++) {
    type.write(runtime, ref, slot, target);
    look('write()', slotName(type, slot));
    type.write(runtime, ref, slot, 0 as typeof target);
  }
  type.data?.write(runtime, ref, random.next());
  look('data.write()');
}

/** Whether the objects from `ref` on fill the room up to `cursor` exactly. */
function fills(rig: Rig, ref: number, cursor: number): boolean {
  let end = ref;
  try {
    while (end < cursor) end += rig.view.shape(end, 0, cursor, () => 'the allocation buffer').bytes;
  } catch {
    return false;
  }
  return end === cursor;
}
