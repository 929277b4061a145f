// The requests of userfaultfd(2): each is made, and what it did is looked at.
import {
  SYS_PREAD64,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../abi.ts';
import { addressOf } from '../libc.ts';
import { check } from '../check.ts';
import { EFAULT, EINTR, EINVAL, ENOENT, errnoName } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { Userfaultfd } from '../userfaultfd.ts';
import {
  contradiction,
  type ExperimentGroup,
  type Finding,
  info,
  type Lab,
  ok,
  outcome,
} from './experiment.ts';
import { expectWord, installsOnce, PATTERN, Pad, type Scratch, useScratch } from './scratch.ts';

/** What an experiment on scratch memory has at hand. */
interface Bench extends Scratch {
  readonly uffd: Userfaultfd;
  readonly pad: Pad;
}

const NEEDS = ['memfd', 'uffd-access', 'uffd-api'];

function bench(lab: Lab, use: (bench: Bench) => Finding): Finding {
  return useScratch(lab.kernel, (scratch) => {
    using pad = new Pad(lab.kernel);
    using uffd = openPatient(lab.kernel);
    return use({ ...scratch, uffd, pad });
  });
}

/** The user-mode-only kind if it can be had: a system call on watched memory fails at once, which shows that it is watched. */
function openPatient(kernel: Kernel): Userfaultfd {
  try {
    return Userfaultfd.open(kernel, { kind: 'user-mode-only' });
  } catch {
    return Userfaultfd.open(kernel);
  }
}

/** Fails unless an access would be stopped. Under the full kind it would wait for ever, so nothing is tried. */
function expectStopped({ uffd, pad }: Bench, address: number, access: 'read' | 'write', what: string): void {
  if (uffd.kind !== 'user-mode-only') return;
  const answer = access === 'read' ? pad.tryRead(address) : pad.tryWrite(address);
  if (answer === -EFAULT) return;
  throw contradiction(
    `a ${access} of ${what} ended with ${outcome(answer)}: the page is not watched, although it was accepted`,
  );
}

function registerMissing(memory: 'window' | 'anonymous', name: string): (lab: Lab) => Finding {
  return (lab) =>
    bench(lab, (b) => {
      b.uffd.register(b[memory], b.bytes, UFFDIO_REGISTER_MODE_MISSING);
      expectStopped(b, b[memory], 'read', `a missing page of ${name}`);
      return ok(`missing pages of ${name} are watched`);
    });
}

function registerMinor(lab: Lab): Finding {
  return bench(lab, (b) => {
    fill(lab, b);
    b.uffd.register(b.window, b.bytes, UFFDIO_REGISTER_MODE_MINOR);
    expectStopped(b, b.window, 'read', 'a page of shared memory that exists but is not mapped');
    return ok('pages of shared memory that exist but are not mapped are watched');
  });
}

function registerWriteProtect(memory: 'window' | 'anonymous', name: string): (lab: Lab) => Finding {
  return (lab) =>
    bench(lab, (b) => {
      b.pad.poke(b[memory], PATTERN);
      b.uffd.register(b[memory], b.bytes, UFFDIO_REGISTER_MODE_WP);
      return ok(`UFFDIO_REGISTER accepts write protection of ${name}`);
    });
}

/** Allocates the pages without mapping them anywhere: the state that a minor fault finds. */
function fill(lab: Lab, { file, bytes }: Scratch): void {
  let filled: number;
  // Any signal that is pending ends it, and undoes what was done.
  do filled = lab.kernel.fallocate(file.fd, 0, 0, bytes);
  while (filled === -EINTR);
  check(filled, 'fallocate', 'filling a scratch file');
}

/** Fails unless the file holds a word at its beginning. */
function expectInFile(lab: Lab, scratch: Scratch, value: number, what: string): void {
  const word = new Uint32Array(1);
  check(
    lab.kernel.syscall(SYS_PREAD64, scratch.file.fd, addressOf(word), 4, 0),
    'pread',
    'reading a scratch file',
  );
  if (word[0] !== value)
    throw contradiction(`${what} reported success, but the page does not hold the contents`);
}

/** MINOR on anonymous memory: no kernel has it, and that is no fault. */
function minorAnonymous(lab: Lab): Finding {
  return useScratch(lab.kernel, (s) => {
    using uffd = Userfaultfd.open(lab.kernel);
    try {
      uffd.register(s.anonymous, s.bytes, UFFDIO_REGISTER_MODE_MINOR);
    } catch (e) {
      if ((e as { errno?: number }).errno !== EINVAL) throw e;
      return info(
        'UFFDIO_REGISTER refuses it with EINVAL: anonymous memory has no page cache that could hold unmapped pages',
      );
    }
    return ok('UFFDIO_REGISTER accepts minor faults of anonymous memory');
  });
}

function unregister(lab: Lab): Finding {
  return bench(lab, ({ uffd, pad, window, bytes }) => {
    uffd.register(window, bytes, UFFDIO_REGISTER_MODE_MISSING);
    check(uffd.unregister(window, bytes), 'UFFDIO_UNREGISTER', 'giving scratch memory back');
    const after = uffd.zeropage(window, bytes);
    if (after !== -ENOENT)
      throw contradiction(
        `after UFFDIO_UNREGISTER, UFFDIO_ZEROPAGE ended with ${outcome(after)} instead of ENOENT`,
      );
    // A hole again, which the kernel fills by itself: still registered, this read would fail or wait.
    expectWord(pad, window, 0, 'a page that is watched no more');
    return ok('UFFDIO_UNREGISTER gives the range back: the kernel fills its pages again');
  });
}

function wake(lab: Lab): Finding {
  return bench(lab, ({ uffd, window, bytes }) => {
    uffd.register(window, bytes, UFFDIO_REGISTER_MODE_MISSING);
    check(uffd.wake(window, bytes), 'UFFDIO_WAKE', 'waking whoever waits on scratch memory');
    return ok('UFFDIO_WAKE is accepted on a range that nobody waits for');
  });
}

function copy(lab: Lab): Finding {
  return bench(lab, (b) => {
    b.uffd.register(b.window, b.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    b.pad.poke(b.anonymous, PATTERN);
    installsOnce('UFFDIO_COPY', b.bytes, () => b.uffd.copy(b.window, b.anonymous, b.bytes));
    expectInFile(lab, b, PATTERN, 'UFFDIO_COPY');
    return ok('UFFDIO_COPY installs pages with their contents in shared memory, each of them once');
  });
}

function continues(lab: Lab): Finding {
  return bench(lab, (b) => {
    fill(lab, b);
    b.uffd.register(b.window, b.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    installsOnce('UFFDIO_CONTINUE', b.bytes, () => b.uffd.continue(b.window, b.bytes));
    return ok('UFFDIO_CONTINUE maps pages of shared memory that exist already, each of them once');
  });
}

function zeropage(lab: Lab): Finding {
  return bench(lab, (b) => {
    b.uffd.register(b.window, b.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    installsOnce('UFFDIO_ZEROPAGE', b.bytes, () => b.uffd.zeropage(b.window, b.bytes));
    b.uffd.close();
    expectWord(b.pad, b.window, 0, 'a zero page');
    return ok('UFFDIO_ZEROPAGE installs zeroed pages in shared memory, each of them once');
  });
}

function move(lab: Lab): Finding {
  return bench(lab, ({ uffd, pad, anonymous, pageBytes }) => {
    // The second page is the source, the first, never touched, the destination.
    pad.poke(anonymous + pageBytes, PATTERN);
    uffd.register(anonymous, pageBytes, UFFDIO_REGISTER_MODE_MISSING);
    const moved = uffd.move(anonymous, anonymous + pageBytes, pageBytes);
    check(moved, 'UFFDIO_MOVE', 'moving a page of anonymous memory');
    uffd.close();
    expectWord(pad, anonymous, PATTERN, 'a moved page');
    expectWord(pad, anonymous + pageBytes, 0, 'the place that a page was moved from');
    return ok('UFFDIO_MOVE moves a page of private anonymous memory');
  });
}

function poison(lab: Lab): Finding {
  return bench(lab, ({ uffd, pad, window, bytes }) => {
    uffd.register(window, bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    installsOnce('UFFDIO_POISON', bytes, () => uffd.poison(window, bytes));
    uffd.close();
    const answer = pad.tryRead(window);
    if (answer >= 0) throw contradiction('a poisoned page could be touched');
    return ok(`UFFDIO_POISON works: a system call that touches the page fails with ${errnoName(answer)}`);
  });
}

function writeProtect(lab: Lab): Finding {
  return bench(lab, (b) => {
    const { uffd, pad, window, bytes } = b;
    pad.poke(window, PATTERN);
    uffd.register(window, bytes, UFFDIO_REGISTER_MODE_WP);
    const protect = (mode: number): number => uffd.writeProtect(window, bytes, mode);
    check(protect(UFFDIO_WRITEPROTECT_MODE_WP), 'UFFDIO_WRITEPROTECT', 'protecting scratch memory');
    expectStopped(b, window, 'write', 'a protected page');
    check(protect(0), 'UFFDIO_WRITEPROTECT', 'ending the protection of scratch memory');
    // Still protected, this write would wait for ever under the full kind: so it is made when nothing is watched any more.
    uffd.close();
    pad.poke(window, PATTERN + 1);
    return ok('UFFDIO_WRITEPROTECT protects pages of shared memory, and ends it');
  });
}

const TRACKING = 'page-granular tracking of writes; the heap marks cards in software';
const UNUSED = 'nothing: the heap does not use it';

export const REQUESTS: ExperimentGroup = {
  group: 'requests',
  experiments: [
    {
      id: 'register-missing-shmem',
      gives: 'the first touch of a page that is not built yet waits for it',
      without: 'the concurrent collector',
      since: 'Linux 4.11',
      required: true,
      needs: NEEDS,
      run: registerMissing('window', 'shared memory'),
    },
    {
      id: 'register-minor-shmem',
      gives: 'a page that was filled through another mapping is still announced before it is seen',
      without: 'the concurrent collector: a page could be seen before it is finished',
      since: 'Linux 5.14',
      required: true,
      needs: NEEDS,
      run: registerMinor,
    },
    {
      id: 'register-wp-shmem',
      gives: 'a way to track writes to the heap by page',
      without: TRACKING,
      since: 'Linux 5.19',
      needs: NEEDS,
      run: registerWriteProtect('window', 'shared memory'),
    },
    {
      id: 'register-missing-anon',
      gives: 'heaps of private memory, which need no memory file',
      without: UNUSED,
      since: 'Linux 4.3',
      needs: NEEDS,
      run: registerMissing('anonymous', 'anonymous memory'),
    },
    {
      id: 'register-minor-anon',
      gives: 'nothing: kernels do not have it',
      without: UNUSED,
      needs: NEEDS,
      run: minorAnonymous,
    },
    {
      id: 'register-wp-anon',
      gives: 'tracking of writes to private memory',
      without: UNUSED,
      since: 'Linux 5.7',
      needs: NEEDS,
      run: registerWriteProtect('anonymous', 'anonymous memory'),
    },
    {
      id: 'ioctl-copy',
      gives: 'a built page reaches the program from a buffer (fill: "copy")',
      without: 'the concurrent collector',
      required: true,
      since: 'Linux 4.11',
      needs: [...NEEDS, 'register-missing-shmem', 'register-minor-shmem'],
      run: copy,
    },
    {
      id: 'ioctl-continue',
      gives: 'a page that was built in place reaches the program without a copy (fill: "continue")',
      without: 'the concurrent collector',
      required: true,
      since: 'Linux 5.14',
      needs: [...NEEDS, 'register-missing-shmem', 'register-minor-shmem'],
      run: continues,
    },
    {
      id: 'ioctl-wake',
      gives: 'threads that wait for a page are woken when another thread installed it',
      without: 'the concurrent collector: a thread could sleep for ever',
      required: true,
      since: 'Linux 4.3',
      needs: [...NEEDS, 'register-missing-shmem'],
      run: wake,
    },
    {
      id: 'ioctl-unregister',
      gives: 'a finished collection costs nothing: the next flip moves whole page tables again',
      without: 'the concurrent collector',
      required: true,
      since: 'Linux 4.3',
      needs: [...NEEDS, 'register-missing-shmem'],
      run: unregister,
    },
    {
      id: 'ioctl-zeropage',
      gives: 'empty pages without a buffer',
      without: UNUSED,
      since: 'Linux 4.11',
      needs: [...NEEDS, 'register-missing-shmem', 'register-minor-shmem'],
      run: zeropage,
    },
    {
      id: 'ioctl-move',
      gives: 'pages of private memory change their place without a copy',
      without: UNUSED,
      since: 'Linux 6.8',
      needs: [...NEEDS, 'register-missing-anon'],
      run: move,
    },
    {
      id: 'ioctl-poison',
      gives: 'a stale reference could be made to end the program at once',
      without: 'a debugging aid',
      since: 'Linux 6.6',
      needs: [...NEEDS, 'register-missing-shmem', 'register-minor-shmem'],
      run: poison,
    },
    {
      id: 'ioctl-writeprotect',
      gives: 'a way to track writes to the heap by page',
      without: TRACKING,
      since: 'Linux 5.19',
      needs: [...NEEDS, 'register-wp-shmem'],
      run: writeProtect,
    },
  ],
};
