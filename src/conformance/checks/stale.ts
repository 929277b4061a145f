// Stale: no operation of the runtime's keeps a reference in a variable over a safepoint, or a handle longer than it runs.
//
// Every allocation and every safepoint inside the operation collects, and everything moves each time. Beside the stop-the-world collector, so
// that barriers do not matter; and in a verifying heap, which notices most uses of a reference that names nothing any more.

import { NULL, type Ref } from '../../heap/ref.ts';
import type { Operation } from '../embedder.ts';
import { type Operands, operandsFor } from '../operands.ts';
import { Random } from '../random.ts';
import { lengthsOf, Rig, VERIFIED } from '../rig.ts';
import { blame, type Check, count, hex, type Symptom, Symptoms, thrown, whereThrown } from './check.ts';

/** How often each operation is tried. */
const ROUNDS = 4;

export const stale: Check = {
  blames: 'stale-reference',

  async run(embedder, { seed, effort, at }) {
    const rig = await Rig.create(
      embedder,
      {
        ...VERIFIED,
        stress: { collectEveryAllocation: 1, collectEverySafepoint: 1 },
      },
      true,
    );
    const random = new Random(seed);
    const symptoms = new Symptoms();
    /** By how many handles runs of an operation made the shadow stack grow. */
    const leaks = new Map<string, number[]>();
    let runs = 0;
    rig.m.run(() => {
      for (const type of embedder.types) {
        for (const length of lengthsOf(type)) {
          at({ operation: `allocate ${type.name}` });
          const found = tryAllocation(rig, () => type.allocate(rig.runtime, length));
          if (found !== undefined) symptoms.add({ ...found, operation: `allocate ${type.name}` });
          runs++;
        }
      }
      for (let round = 0; round < ROUNDS * effort; round++) {
        for (const operation of embedder.operations) {
          const { name } = operation;
          if (symptoms.list.some((symptom) => symptom.operation === name)) continue;
          const operands = operandsFor(rig, random, operation, round);
          at({ operation: name });
          const depth = handlesOf(rig);
          const found = tryOperation(rig, operation, operands);
          const grown = handlesOf(rig) - depth;
          if (grown > 0) leaks.set(name, [...(leaks.get(name) ?? []), grown]);
          if (found !== undefined) symptoms.add({ ...found, operation: name });
          else operands.close();
          runs++;
        }
      }
      rig.collect();
    });
    // The first run may have made registers that the runtime keeps.
    for (const [operation, grown] of leaks) {
      if (grown.length < ROUNDS * effort || symptoms.list.some((symptom) => symptom.operation === operation))
        continue;
      const what = `the shadow stack was ${grown.at(-1)} deeper after it than before, every time`;
      symptoms.add({ mistake: 'leaked-handle', operation, what });
    }
    return {
      findings: symptoms.list,
      covered: `${count(runs, 'run')} with a collection at every allocation`,
    };
  },
};

/** Slots of the shadow stack in use, without those that the description knows: a runtime's own stack may have grown. */
function handlesOf({ embedder, runtime, m }: Rig): number {
  return embedder.roots.reduce((depth, set) => depth - set.slots(runtime), m.shadowStack.depth);
}

type Found = Pick<Symptom, 'mistake' | 'what' | 'at'>;

const staleBecause = (what: string): Found => ({ mistake: 'stale-reference', what });

const failure = (error: unknown): Found => ({
  mistake: blame(error, 'stale-reference'),
  what: thrown(error),
  ...whereThrown(error),
});

function tryAllocation(rig: Rig, allocate: () => Ref): Found | undefined {
  try {
    const ref = rig.stress.storm(allocate);
    const flaw = rig.flaw(ref);
    return flaw === undefined
      ? undefined
      : staleBecause(`what it returned names no object any more: ${flaw}`);
  } catch (error) {
    return failure(error);
  }
}

function tryOperation(rig: Rig, operation: Operation<unknown>, operands: Operands): Found | undefined {
  const before = operands.refs();
  let result: Ref;
  try {
    result = rig.stress.storm(() => operation.run(rig.runtime, operands.refs()));
  } catch (error) {
    return failure(error);
  }
  const now = operands.refs();
  const stale = before.findIndex((ref, i) => ref === result && now[i] !== ref && ref !== NULL);
  const difference = operands.compare(result, operation.expect(operands.models));
  if (difference === undefined) return undefined;
  const moved = before
    .flatMap((ref, i) => (ref === now[i] ? [] : [`operand ${i} from ${hex(ref)} to ${hex(now[i]!)}`]))
    .join(', ');
  const where =
    difference.type === undefined
      ? 'the result'
      : `an object of type ${difference.type}${difference.field === undefined ? '' : `, field ${difference.field}`}`;
  const what = `${where}: ${difference.what}`;
  if (stale >= 0) return staleBecause(`${what}; it returned where operand ${stale} was before a collection`);
  return staleBecause(moved === '' ? what : `${what}; meanwhile collections moved ${moved}`);
}
