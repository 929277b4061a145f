// The mirror shares pages, not page tables: everything is in memory, and yet the first touch of each page through the mirror faults.
import {
  addressOf,
  check,
  EINVAL,
  type Kernel,
  MADV_NOHUGEPAGE,
  MADV_POPULATE_WRITE,
  viewOf,
} from 'tospace/uffd';
import { residentBytes } from '../support/resident.ts';
import { Mirrored, type Way } from './places.ts';

// getrusage(2): struct rusage is 18 words of 64 bits; ru_minflt is the ninth.
const SYS_GETRUSAGE = 98;
const RUSAGE_THREAD = 1;
const RUSAGE_WORDS = 18;
const RU_MINFLT = 8;

const PAGE_BYTES = 4096;

export interface PageTables {
  readonly bytes: number;
  readonly pages: number;
  /** Of the first mapping, all of whose pages were touched before. */
  readonly residentBytes: number;
  /** Of the mirror: after it was made, and after every page was touched through it. */
  readonly mirrorResidentBytes: { readonly before: number; readonly after: number };
  /** Minor faults of this thread while it touches every page through one of the mappings. */
  readonly minorFaults: {
    readonly first: number;
    /** Reading: the kernel maps up to 16 neighbours of a file page with each fault. */
    readonly mirrorReading: number;
    /** Writing, through a mirror that was made anew: a fault for every page. */
    readonly mirrorWriting: number;
  };
  /** What was read through the mirror is what was written through the first mapping. */
  readonly sameBytes: boolean;
}

export function inspectPageTables(kernel: Kernel, way: Way, bytes: number): PageTables {
  using memory = Mirrored.create(kernel, bytes);
  // A huge page would be mapped by a single fault. EINVAL: a kernel without them.
  const plain = kernel.madvise(memory.address, bytes, MADV_NOHUGEPAGE);
  if (plain !== -EINVAL) check(plain, 'madvise', 'asking for pages of 4 KiB');
  check(kernel.madvise(memory.address, bytes, MADV_POPULATE_WRITE), 'madvise', `touching ${bytes} bytes`);
  const words = new Uint32Array(viewOf(memory.address, bytes));
  const step = PAGE_BYTES / 4;
  for (let at = 0; at < words.length; at += step) words[at] = at + 1;

  memory.mirror(way);
  const mirror = new Uint32Array(viewOf(memory.mirrorAddress, bytes));
  const before = residentBytes(memory.mirrorAddress);
  let sameBytes = true;
  const read = (from: Uint32Array) => (): void => {
    for (let at = 0; at < from.length; at += step) sameBytes &&= from[at] === at + 1;
  };
  const first = minorFaults(kernel, read(words));
  const mirrorReading = minorFaults(kernel, read(mirror));
  const after = residentBytes(memory.mirrorAddress);
  memory.unmirror();
  memory.mirror(way);
  const mirrorWriting = minorFaults(kernel, () => {
    for (let at = 0; at < mirror.length; at += step) mirror[at] = at + 1;
  });
  return {
    bytes,
    pages: bytes / PAGE_BYTES,
    residentBytes: residentBytes(memory.address),
    mirrorResidentBytes: { before, after },
    minorFaults: { first, mirrorReading, mirrorWriting },
    sameBytes,
  };
}

/** How many minor faults the calling thread takes while `work` runs. */
function minorFaults(kernel: Kernel, work: () => void): number {
  const usage = new BigInt64Array(RUSAGE_WORDS);
  const count = (): number => {
    check(
      kernel.syscall(SYS_GETRUSAGE, RUSAGE_THREAD, addressOf(usage)),
      'getrusage',
      'counting page faults',
    );
    return Number(usage[RU_MINFLT]);
  };
  const start = count();
  work();
  return count() - start;
}
