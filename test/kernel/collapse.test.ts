// MADV_COLLAPSE and MADV_POPULATE_WRITE of memory that a userfaultfd watches.
//
// Behaviours: the kernel's selftest mm/uffd-unit-tests.c (minor faults, then collapse); that a collapse passes by the userfaultfd
// is a finding of ours. Each scenario runs in a process of its own: what goes wrong there blocks.
import { expect } from 'vitest';
import { type ConformanceCase, conformance, type Requirement } from './support/conformance.ts';
import { answer, fileBacked, kernel, MIB, memfd, PAGE } from './support/memory.ts';
import { MADV_COLLAPSE, Reservation } from '#src/uffd/index.js';
import { runKernelScenario } from './support/scenario.ts';
import { fullUserfaultfd, userfaultfd } from './support/requirements.ts';

const HUGE = 2 * MIB;

/** Whether a memory file without a userfaultfd collapses here. */
const collapse: Requirement = {
  missing() {
    using place = Reservation.reserve(kernel, HUGE, { alignBytes: HUGE });
    using file = memfd(HUGE / PAGE);
    using region = fileBacked(file, HUGE / PAGE, { at: place.address }).fill(1);
    const result = kernel.madvise(region.address, HUGE, MADV_COLLAPSE);
    return result < 0 ? `MADV_COLLAPSE of a memory file says ${answer(result)}` : undefined;
  },
};

/** Ends a case as skipped where the machine has no huge page left, which may be so at any moment. */
function skipWithoutHugePages(it: ConformanceCase, ...answers: readonly string[]): void {
  if (answers.includes('ENOMEM')) it.skip('there is no huge page to be had at the moment (ENOMEM)');
}

interface Collapsed {
  collapse: string;
  hugeBytes: number;
  wrong: number;
  events: number;
}

conformance(
  'pages that were all continued collapse into a huge one, with their content',
  { requires: [userfaultfd, collapse] },
  async (it) => {
    const found = await runKernelScenario<Collapsed>('collapse.mjs', ['finished']);
    skipWithoutHugePages(it, found.collapse);
    expect(found).toEqual({ collapse: 'ok', hugeBytes: HUGE, wrong: 0, events: 0 });
  },
);

conformance(
  'pages that wait for a MINOR fault: a collapse maps them without a word, or is refused',
  { requires: [userfaultfd, collapse] },
  async (it) => {
    const found = await runKernelScenario<Collapsed>('collapse.mjs', ['unfinished']);
    if (found.collapse !== 'ok') return it.skip(`MADV_COLLAPSE of a watched range says ${found.collapse}`);
    // The hazard: these were never continued.
    expect(found).toEqual({ collapse: 'ok', hugeBytes: HUGE, wrong: 0, events: 0 });
    await it.saw('a collapse that maps pages nobody continued');
  },
);

interface HalfFilled {
  direct: string;
  viaAlias: string;
  allocatedBefore: number;
  allocatedAfter: number;
  /** The result of UFFDIO_COPY into a hole: bytes. */
  copied: number;
}

conformance(
  'a watched extent with holes does not collapse, and the holes stay',
  { requires: [userfaultfd, collapse] },
  async (it) => {
    const found = await runKernelScenario<HalfFilled>('collapse.mjs', ['half-filled']);
    skipWithoutHugePages(it, found.direct, found.viaAlias);
    expect(found).toEqual({
      direct: 'EBUSY',
      viaAlias: 'EBUSY',
      allocatedBefore: HUGE / 2,
      allocatedAfter: HUGE / 2,
      copied: PAGE,
    });
  },
);

interface Populated {
  state: string;
  faults: number;
  result: number;
  filled: number;
}

conformance(
  'MADV_POPULATE_WRITE of a watched range raises faults and waits for them',
  { requires: fullUserfaultfd },
  async () => {
    const found = await runKernelScenario<Populated>('collapse.mjs', ['populate']);
    expect(found.result).toBe(0);
    expect(found.faults).toBeGreaterThanOrEqual(16);
    expect(found.filled).toBe(16);
    // Uninterruptible: no signal gets through, except the one that kills.
    expect(found.state).toBe('D');
  },
);
