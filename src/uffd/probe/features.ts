// Every feature bit of userfaultfd(2), each asked for on a descriptor of its own.
import { UFFD_FEATURES } from '../abi.ts';
import { type Experiment, type ExperimentGroup, ok } from './experiment.ts';
import { useFeatures } from './scratch.ts';

const UNUSED = 'nothing: the heap does not use it';
const EVENT = 'never requested: a collector that moves its own mappings would wait for its own event';

/** What each bit would give, and what its absence costs. */
const MEANING: Readonly<Record<string, readonly [gives: string, without: string]>> = {
  PAGEFAULT_FLAG_WP: ['write-protection faults, another way to track writes', UNUSED],
  EVENT_FORK: [`news of forks; ${EVENT}`, UNUSED],
  EVENT_REMAP: [`news of moved mappings; ${EVENT}`, UNUSED],
  EVENT_REMOVE: [`news of freed ranges; ${EVENT}`, UNUSED],
  EVENT_UNMAP: [`news of unmapped ranges; ${EVENT}`, UNUSED],
  MISSING_HUGETLBFS: ['missing faults in hugetlbfs memory', UNUSED],
  MISSING_SHMEM: [
    'missing faults in the memory files of the heap',
    'the concurrent collector: see register-missing-shmem',
  ],
  SIGBUS: [
    'a signal in place of a message, for handlers in native code',
    'nothing: JavaScript cannot handle the signal',
  ],
  THREAD_ID: ['which thread faulted, for traces', UNUSED],
  MINOR_HUGETLBFS: ['minor faults in hugetlbfs memory', UNUSED],
  MINOR_SHMEM: [
    'minor faults in the memory files of the heap',
    'the concurrent collector: see register-minor-shmem',
  ],
  EXACT_ADDRESS: ['the byte that was touched instead of its page', UNUSED],
  WP_HUGETLBFS_SHMEM: [
    'write protection of the memory files of the heap',
    'page-granular tracking of writes to the heap',
  ],
  WP_UNPOPULATED: ['write protection of pages that do not exist yet', UNUSED],
  POISON: ['pages that end whoever touches them, to catch stale references', 'a debugging aid'],
  WP_ASYNC: [
    'tracking of writes without faults',
    'page-granular tracking of writes; the heap marks cards in software',
  ],
  MOVE: ['moving anonymous pages instead of copying', UNUSED],
};

const experiments: readonly Experiment[] = Object.entries(UFFD_FEATURES).map(([name, bit]) => ({
  id: `feature-${name.toLowerCase().replaceAll('_', '-')}`,
  gives: MEANING[name]![0],
  without: MEANING[name]![1],
  needs: ['uffd-access', 'uffd-api'],
  run: ({ kernel }) => {
    useFeatures(kernel, bit, () => {});
    return ok(`UFFDIO_API accepts UFFD_FEATURE_${name}`);
  },
}));

export const FEATURES: ExperimentGroup = { group: 'features', experiments };
