// Stale: no operation of the runtime's keeps a reference in a variable over a safepoint.
//
// Every allocation and every safepoint inside the operation collects, and everything moves each time. Beside the stop-the-world collector, so
// that barriers do not matter; and in a verifying heap, which notices most uses of a reference that names nothing any more.

import { NULL, type Ref } from '../../heap/ref.ts';
import type { Operation } from '../embedder.ts';
import { type Operands, operandsFor } from '../operands.ts';
import { Random } from '../random.ts';
import { lengthsOf, Rig, VERIFIED } from '../rig.ts';
import { type Check, count, hex, Symptoms, thrown } from './check.ts';

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
    let runs = 0;
    rig.m.run(() => {
      for (const type of embedder.types) {
        for (const length of lengthsOf(type)) {
          at({ operation: `allocate ${type.name}` });
          const what = tryAllocation(rig, () => type.allocate(rig.runtime, length));
          if (what !== undefined)
            symptoms.add({ mistake: 'stale-reference', operation: `allocate ${type.name}`, what });
          runs++;
        }
      }
      for (let round = 0; round < ROUNDS * effort; round++) {
        for (const operation of embedder.operations) {
          const { name } = operation;
          if (symptoms.list.some((symptom) => symptom.operation === name)) continue;
          const operands = operandsFor(rig, random, operation);
          at({ operation: name });
          const what = tryOperation(rig, operation, operands);
          if (what !== undefined) symptoms.add({ mistake: 'stale-reference', operation: name, what });
          else operands.close();
          runs++;
        }
      }
      rig.collect();
    });
    return {
      findings: symptoms.list,
      covered: `${count(runs, 'run')} with a collection at every allocation`,
    };
  },
};

function tryAllocation(rig: Rig, allocate: () => Ref): string | undefined {
  try {
    const ref = rig.stress.storm(allocate);
    const flaw = rig.flaw(ref);
    return flaw === undefined ? undefined : `what it returned names no object any more: ${flaw}`;
  } catch (error) {
    return thrown(error);
  }
}

function tryOperation(rig: Rig, operation: Operation<unknown>, operands: Operands): string | undefined {
  const before = operands.refs();
  let result: Ref;
  try {
    result = rig.stress.storm(() => operation.run(rig.runtime, operands.refs()));
  } catch (error) {
    return thrown(error);
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
  if (stale >= 0) return `${what}; it returned where operand ${stale} was before a collection`;
  return moved === '' ? what : `${what}; meanwhile collections moved ${moved}`;
}
