// What this process may have: address space, mappings, descriptors, locked memory.
import {
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MFD_CLOEXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  RLIM_INFINITY,
  RLIMIT_AS,
  RLIMIT_FSIZE,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
  SYS_PRLIMIT64,
} from '../abi.ts';
import { check } from '../check.ts';
import { errnoName } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { addressOf } from '../libc.ts';
import { type ExperimentGroup, type Finding, info, type Lab, limited, missing, ok } from './experiment.ts';
import { memoryBytes, size, sysctl } from './host.ts';

const GIB = 2 ** 30;
/** What V8 makes writable for a heap: all that 32-bit WebAssembly can address. */
const MEMORY_BYTES = 4 * GIB;
/**
 * What the smallest heap takes: 10 GiB that V8 reserves for such a memory, so that no offset leads out of it; 2 GiB to find an aligned
 * place for the moved page tables; and what the threads of the collector reserve, some 0.7 GiB each while they start.
 */
const ADDRESS_BYTES = 13.5 * GIB;
/** Each of the two memory files of a heap up to 1 GiB: they are sparse, as large as the window. */
const FILE_BYTES = GIB;
/** A heap takes a dozen, a few heaps and the program's own files some more. */
const DESCRIPTORS_WANTED = 128;
/** What the advice raises the limit to: what shells usually allow. */
const DESCRIPTORS = 4096;
/** A heap takes about a hundred; V8 and the C library grow by hundreds. */
const MAPPINGS_WANTED = 1024;
/** The kernel's default. */
const MAPPINGS_DEFAULT = 65530;

/** Soft and hard limit; undefined without one. */
function limitOf(
  kernel: Kernel,
  resource: number,
): readonly [soft: number | undefined, hard: number | undefined] {
  const pair = new BigUint64Array(2);
  const result = kernel.syscall(SYS_PRLIMIT64, 0, resource, 0, addressOf(pair));
  check(result, 'prlimit', `asking for the limit of resource ${resource}`);
  const [soft, hard] = [...pair].map((value) => (value === RLIM_INFINITY ? undefined : Number(value)));
  return [soft, hard];
}

const bytesOr = (bytes: number | undefined): string => (bytes === undefined ? 'unlimited' : size(bytes));

function addressSpace(lab: Lab): Finding {
  const { kernel } = lab;
  const [soft, hard] = limitOf(kernel, RLIMIT_AS);
  const values = { softBytes: soft ?? null, hardBytes: hard ?? null, triedBytes: ADDRESS_BYTES };
  const address = kernel.mmap(
    0,
    ADDRESS_BYTES,
    PROT_NONE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
    -1,
    0,
  );
  const limit = `RLIMIT_AS is ${bytesOr(soft)}`;
  const repair =
    soft === undefined
      ? undefined
      : hard === undefined
        ? 'ulimit -v unlimited'
        : 'sudo prlimit --pid $$ --as=unlimited';
  if (address < 0)
    return missing(
      `${size(ADDRESS_BYTES)} of address space cannot be reserved (${errnoName(address)}); ${limit}`,
      repair,
      values,
    );
  const result = kernel.mprotect(address, MEMORY_BYTES, PROT_READ | PROT_WRITE);
  kernel.munmap(address, ADDRESS_BYTES);
  if (result < 0) {
    const policy = sysctl(lab.host, 'vm.overcommit_memory') ?? 'unknown';
    const found =
      `${size(MEMORY_BYTES)} of reserved address space cannot be made writable (${errnoName(result)}): ` +
      `vm.overcommit_memory is ${policy}; ${limit}`;
    return missing(found, policy === '2' ? 'sudo sysctl -w vm.overcommit_memory=0' : repair, values);
  }
  const found = `${size(ADDRESS_BYTES)} of address space can be reserved, as for the memory of a heap; ${limit}`;
  return soft === undefined ? ok(found, values) : limited(found, repair, values);
}

function overcommit({ host }: Lab): Finding {
  const policy = sysctl(host, 'vm.overcommit_memory');
  const limitBytes = memoryBytes(host, 'CommitLimit');
  const committedBytes = memoryBytes(host, 'Committed_AS');
  const values = {
    policy: policy ?? null,
    limitBytes: limitBytes ?? null,
    committedBytes: committedBytes ?? null,
  };
  if (policy === undefined)
    return info('vm.overcommit_memory cannot be read; see limit-address-space for what was tried', values);
  if (policy !== '2')
    return ok(`vm.overcommit_memory is ${policy}: memory counts when it is touched`, values);
  const room = size(Math.max(0, (limitBytes ?? 0) - (committedBytes ?? 0)));
  return limited(
    `vm.overcommit_memory is 2: memory counts when it is reserved, every heap as 4 GiB; ${room} are left`,
    'sudo sysctl -w vm.overcommit_memory=0',
    values,
  );
}

function fileSize({ kernel }: Lab): Finding {
  const [soft, hard] = limitOf(kernel, RLIMIT_FSIZE);
  const values = { softBytes: soft ?? null, hardBytes: hard ?? null, triedBytes: FILE_BYTES };
  const limit = `RLIMIT_FSIZE is ${bytesOr(soft)}`;
  const repair =
    soft === undefined
      ? undefined
      : hard === undefined
        ? 'ulimit -f unlimited'
        : 'sudo prlimit --pid $$ --fsize=unlimited';
  const fd = check(kernel.memfdCreate('tospace-probe', MFD_CLOEXEC), 'memfd_create', 'making a memory file');
  const result = kernel.ftruncate(fd, FILE_BYTES);
  kernel.close(fd);
  if (result < 0) {
    const found = `a memory file of ${size(FILE_BYTES)} cannot be made (${errnoName(result)}); ${limit}`;
    return missing(found, repair, values);
  }
  const found = `a memory file of ${size(FILE_BYTES)} can be made, which takes no memory yet; ${limit}`;
  return soft === undefined ? ok(found, values) : limited(found, repair, values);
}

function mappings({ host }: Lab): Finding {
  const limit = Number(sysctl(host, 'vm.max_map_count') ?? Number.NaN);
  const used = host.read('/proc/self/maps')?.trim().split('\n').length;
  if (Number.isNaN(limit) || used === undefined)
    return info('the number of mappings, or its limit, cannot be read');
  const found = `${used} of ${limit} mappings (vm.max_map_count) are in use`;
  const values = { used, limit };
  if (limit - used >= MAPPINGS_WANTED) return ok(found, values);
  return limited(found, `sudo sysctl -w vm.max_map_count=${Math.max(MAPPINGS_DEFAULT, 2 * limit)}`, values);
}

function descriptors({ kernel, host }: Lab): Finding {
  const [soft, hard] = limitOf(kernel, RLIMIT_NOFILE);
  const used = host.count('/proc/self/fd') ?? 0;
  const values = { used, soft: soft ?? null, hard: hard ?? null };
  if (soft === undefined) return ok(`${used} descriptors are open; RLIMIT_NOFILE is unlimited`, values);
  const found = `${used} of ${soft} descriptors (RLIMIT_NOFILE) are open`;
  if (soft - used >= DESCRIPTORS_WANTED) return ok(found, values);
  return limited(
    found,
    (hard ?? DESCRIPTORS) >= DESCRIPTORS
      ? `ulimit -n ${DESCRIPTORS}`
      : `sudo prlimit --pid $$ --nofile=${DESCRIPTORS}`,
    values,
  );
}

function lockedMemory({ kernel }: Lab): Finding {
  const [soft, hard] = limitOf(kernel, RLIMIT_MEMLOCK);
  return info(`RLIMIT_MEMLOCK is ${bytesOr(soft)}; the heap locks nothing`, {
    softBytes: soft ?? null,
    hardBytes: hard ?? null,
  });
}

export const LIMITS: ExperimentGroup = {
  group: 'limits',
  experiments: [
    {
      id: 'limit-address-space',
      gives: 'room for the address map of a heap: 4 GiB with guards, and a place for moved page tables',
      without: 'every heap; a low limit leaves room for fewer of them',
      required: true,
      run: addressSpace,
    },
    {
      id: 'limit-overcommit',
      gives: 'reserved address space that costs nothing until it is touched',
      without: 'every heap is charged with 4 GiB at once',
      run: overcommit,
    },
    {
      id: 'limit-file-size',
      gives: 'memory files as large as the windows of a heap',
      without: 'every heap',
      required: true,
      needs: ['memfd'],
      run: fileSize,
    },
    {
      id: 'limit-mappings',
      gives: 'room for the windows of the heap, which the kernel splits while pages move',
      without: 'creating a heap, or a flip, fails with ENOMEM',
      run: mappings,
    },
    {
      id: 'limit-descriptors',
      gives: 'descriptors for memory files, userfaultfds, and the threads of the collector',
      without: 'creating a heap fails with EMFILE',
      run: descriptors,
    },
    {
      id: 'limit-locked-memory',
      gives: 'nothing: a heap must not be locked in memory, as its pages change their place',
      without: 'nothing',
      run: lockedMemory,
    },
  ],
};
