// Whole flows on the real kernel, with threads that keep running: what the collector, and a pager in user space, rest on.
//
//   the flip             two memory files, DONTUNMAP, faults answered by CONTINUE
//   swapping out         DONTUNMAP chunk by chunk, faults answered by COPY; nobody stops
//   a stolen address     why a plain move is not enough
//
// Behaviours: the motivation of the MREMAP_DONTUNMAP patches (2020): a garbage collector and a pager that keep other threads out
// of an address without stopping to hold it.
import { expect } from 'vitest';
import { conformance } from './support/conformance.ts';
import { runKernelScenario } from './support/scenario.ts';
import { userfaultfd } from './support/requirements.ts';

interface Flipped {
  cycles: number;
  lost: number[];
  updates: number[];
  wrongStamps: number;
  served: number;
  built: number;
  pages: number;
}

conformance(
  'the flip: no update is lost, and every page is built exactly once in every cycle',
  { requires: userfaultfd },
  async () => {
    const found = await runKernelScenario<Flipped>('flip.mjs');
    expect(found.lost).toEqual([0, 0]);
    for (const updates of found.updates) expect(updates).toBeGreaterThan(0);
    expect(found.wrongStamps).toBe(0);
    expect(found.built).toBe(found.cycles * found.pages);
    // In each cycle at least one page was built because a mutator waited for it.
    expect(found.served).toBeGreaterThanOrEqual(found.cycles);
  },
);

interface SwappedOut {
  lost: number[];
  updates: number[];
  written: number;
  broughtBack: number;
  pages: number;
}

conformance('swapping out under running threads: no update is lost', { requires: userfaultfd }, async () => {
  const found = await runKernelScenario<SwappedOut>('swap-out.mjs');
  expect(found.lost).toEqual([0, 0]);
  for (const updates of found.updates) expect(updates).toBeGreaterThan(0);
  // Every page once, and again after each time that it came back, except those that came back last.
  expect(found.written).toBeGreaterThanOrEqual(found.pages);
  expect(found.broughtBack).toBeGreaterThan(0);
  // The check of the users at the end brings everything back.
  expect(found.broughtBack).toBe(found.written);
});

interface Steals {
  flips: number;
  attempts: number;
  steals: number;
  /** Flips that found the address in use when they wanted it back. */
  taken: number;
}

conformance('DONTUNMAP never gives the address away; a plain move may', async (it) => {
  const { kept, plain } = await runKernelScenario<{ kept: Steals; plain: Steals }>('steal.mjs');
  expect(kept.flips).toBeGreaterThan(0);
  expect(kept.attempts).toBeGreaterThan(100);
  expect(kept.steals).toBe(0);
  expect(kept.taken).toBe(0);
  // A race: how often is a matter of luck.
  expect(plain.flips).toBeGreaterThan(0);
  await it.saw(`${plain.steals} thefts in ${plain.flips} plain moves, ${plain.taken} of which met the thief`);
});
