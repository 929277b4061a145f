// Safepoint: the runtime's poll answers a concurrent collection that waits for this thread.

import { Rig } from '../rig.ts';
import type { Check } from './check.ts';

/** The part of the time for the check in which a cycle of an almost empty heap must be over. */
const PATIENCE = 1 / 20;
const CYCLES = 3;

export const safepoint: Check = {
  blames: 'no-safepoint',

  async run(embedder, { at, timeoutMs }) {
    const patienceMs = timeoutMs * PATIENCE;
    const rig = await Rig.create(embedder, { collector: 'concurrent' });
    let polls = 0;
    const answered = rig.m.run(() => {
      at({ operation: 'safepoint' });
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const ticket = rig.requests.ask('collect');
        const end = performance.now() + patienceMs;
        while (!rig.requests.isDone(ticket)) {
          embedder.safepoint(rig.runtime);
          polls++;
          if (performance.now() > end) return cycle;
        }
      }
      return CYCLES;
    });
    const covered = `${answered} of ${CYCLES} cycles beside a loop of safepoints`;
    if (answered === CYCLES) return { findings: [], covered };
    const what = `a collection waited ${Math.round(patienceMs)} ms, and safepoint(), called ${polls} times, did not let it begin its pause`;
    return { findings: [{ mistake: 'no-safepoint', operation: 'safepoint', what }], covered };
  },
};
