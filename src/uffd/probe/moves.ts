// Moving page tables: the flip of the collector.
import { MREMAP_DONTUNMAP, MREMAP_MAYMOVE } from '../abi.ts';
import { check } from '../check.ts';
import { type ExperimentGroup, type Finding, type Lab, ok } from './experiment.ts';
import { measureGranularity } from './granularity.ts';
import { expectWord, MOVE_FLAGS, PATTERN, Pad, useAnonymous, useScratch } from './scratch.ts';

function moveShmem(lab: Lab): Finding {
  return useScratch(lab.kernel, ({ window, spare, bytes }) => {
    using pad = new Pad(lab.kernel);
    pad.poke(window, PATTERN);
    const what = 'moving the page tables of shared memory with MREMAP_DONTUNMAP';
    check(lab.kernel.mremap(window, bytes, bytes, MOVE_FLAGS, spare), 'mremap', what);
    expectWord(pad, spare, PATTERN, 'the new place');
    // The old mapping stays, and finds its pages again in the file.
    expectWord(pad, window, PATTERN, 'the old place');
    return ok('mremap(MREMAP_DONTUNMAP) moves the pages of shared memory away, and the old mapping stays');
  });
}

function moveAnonymous(lab: Lab): Finding {
  const { kernel } = lab;
  const bytes = kernel.getpagesize();
  return useAnonymous(kernel, bytes, (from) => {
    using pad = new Pad(kernel);
    pad.poke(from, PATTERN);
    // Without FIXED the kernel picks the place.
    const to = kernel.mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    check(to, 'mremap', 'moving the page tables of anonymous memory with MREMAP_DONTUNMAP');
    try {
      expectWord(pad, to, PATTERN, 'the new place');
      expectWord(pad, from, 0, 'the old place');
    } finally {
      kernel.munmap(to, bytes);
    }
    return ok(
      'mremap(MREMAP_DONTUNMAP) moves the pages of anonymous memory away, and the old mapping reads as zeroes',
    );
  });
}

export const MOVES: ExperimentGroup = {
  group: 'moves',
  experiments: [
    {
      id: 'dontunmap-shmem',
      gives: 'the flip: a short pause takes the whole heap away from its addresses, which stay ours',
      without: 'the concurrent collector; collector: "stop-the-world" does not need it',
      required: true,
      since: 'Linux 5.13',
      needs: ['memfd'],
      run: moveShmem,
    },
    {
      id: 'dontunmap-anon',
      gives: 'the same for private memory',
      without: 'nothing: the heap is shared memory',
      since: 'Linux 5.7',
      needs: ['memfd'],
      run: moveAnonymous,
    },
    {
      id: 'move-granularity',
      gives: 'a pause for the flip that does not grow with the heap',
      without: 'the flip takes about 0.2 ms per GiB by tables of 2 MiB, and about 3 ms per GiB page by page',
      needs: ['memfd', 'dontunmap-shmem'],
      run: measureGranularity,
    },
  ],
};
