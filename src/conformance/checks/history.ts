// History: one random history on one heap. Which mistake a failure means, the parent finds out by running it on others.

import { isOverrun } from '../../heap/misuse.ts';
import { CONFIGURATIONS, type ConfigurationName } from '../configurations.ts';
import { History } from '../history.ts';
import { Random } from '../random.ts';
import { type AnyEmbedder, Rig } from '../rig.ts';
import { type CheckContext, count, type Outcome, type Symptom, thrown, whereThrown } from './check.ts';

export async function runHistory(
  embedder: AnyEmbedder,
  name: ConfigurationName,
  steps: number,
  { seed, at }: CheckContext,
): Promise<Outcome> {
  const { options, moving, calm, blames } = CONFIGURATIONS[name];
  const rig = await Rig.create(embedder, options, moving ?? false);
  let doing = 'attach';
  const findings = rig.m.run((): Symptom[] => {
    const history = new History(rig, new Random(seed), (operation) => {
      doing = operation;
      at({ operation });
    });
    try {
      const found = calm ? history.run(steps) : rig.stress.storm(() => history.run(steps));
      if (found === undefined) return [];
      const { type, field, operation, what, step, mistake = blames } = found;
      return [
        {
          mistake,
          operation,
          ...(type === undefined ? {} : { type }),
          ...(field === undefined ? {} : { field }),
          what: `after ${count(step, 'step')}: ${what}`,
        },
      ];
    } catch (error) {
      return [
        {
          // A stale reference is what a missed root looks like, once the check of that name has passed.
          mistake: isOverrun(error) ? 'lying-size' : blames,
          operation: doing,
          what: thrown(error),
          ...whereThrown(error),
        },
      ];
    }
  });
  const { cycles } = rig.heap.stats();
  return { findings, covered: `${count(steps, 'step')} ${name}, ${count(cycles, 'collection')}` };
}
