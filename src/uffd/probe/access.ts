// The ways to a userfaultfd, and what stands in each.
import { UFFD_API, UFFDIO_API, UFFDIO_REGISTER_MODE_MISSING } from '../abi.ts';
import { EFAULT, EINVAL, EMFILE, ENFILE, ENOENT, errnoName } from '../errno.ts';
import { openFullByDevice, openFullBySyscall, openUserModeOnly, Userfaultfd } from '../userfaultfd.ts';
import {
  contradiction,
  type ExperimentGroup,
  type Finding,
  type Lab,
  limited,
  missing,
  ok,
  outcome,
} from './experiment.ts';
import { accessFacts, DEVICE, explain, obstacle, type Obstacle } from './obstacle.ts';
import { Pad, request, useScratch } from './scratch.ts';

/** Opens and closes again. Returns 0, or the errno. */
function tryOpen(lab: Lab, open: (kernel: Lab['kernel']) => number): number {
  const fd = open(lab.kernel);
  if (fd < 0) return -fd;
  lab.kernel.close(fd);
  return 0;
}

const DESCRIPTORS_REPAIR = 'ulimit -n 4096';
const outOfDescriptors = (errno: number): boolean => errno === EMFILE || errno === ENFILE;

function refusal(
  lab: Lab,
  errno: number,
  userModeOnly: boolean,
): { which: Obstacle | undefined; words: string; repair: string | undefined } {
  if (outOfDescriptors(errno)) {
    const words = `failed with ${errnoName(errno)}: no descriptor is free`;
    return { which: undefined, words, repair: DESCRIPTORS_REPAIR };
  }
  const facts = accessFacts(lab.kernel, lab.host);
  const which = obstacle(errno, userModeOnly, facts);
  return { which, ...explain(which, errno, facts) };
}

/** The call that gives the full kind. */
function fullBySyscall(lab: Lab): Finding {
  const errno = tryOpen(lab, openFullBySyscall);
  if (errno === 0) return ok('userfaultfd(2) opens the full kind');
  const { words, repair } = refusal(lab, errno, false);
  return missing(`userfaultfd(2) is ${words}`, repair, { errno: errnoName(errno) });
}

/** The device that gives the full kind. */
function fullByDevice(lab: Lab): Finding {
  const errno = tryOpen(lab, openFullByDevice);
  if (errno === 0) return ok(`${DEVICE} opens the full kind`);
  const access = lab.host.access(DEVICE);
  const values = { errno: errnoName(errno), access: access === 0 ? 'ok' : errnoName(access) };
  if (errno === ENOENT) {
    const repair = `docker run --device ${DEVICE} IMAGE  # where the host has it`;
    return missing(`${DEVICE} does not exist here`, repair, values);
  }
  if (access === 0) {
    return missing(
      `${DEVICE} may be opened, but giving out a userfaultfd failed with ${errnoName(errno)}`,
      undefined,
      values,
    );
  }
  const repair = `sudo setfacl -m u:$(id -un):rw ${DEVICE}`;
  return missing(
    `opening ${DEVICE} failed with ${errnoName(errno)}: its file permissions do not allow this user`,
    repair,
    values,
  );
}

/** The kind for everybody, and its limit. */
function userModeOnly(lab: Lab): Finding {
  const errno = tryOpen(lab, openUserModeOnly);
  if (errno === EINVAL) return missing('userfaultfd(2) does not know UFFD_USER_MODE_ONLY (EINVAL)');
  if (errno !== 0) {
    const { words, repair } = refusal(lab, errno, true);
    return missing(`userfaultfd(2) with UFFD_USER_MODE_ONLY is ${words}`, repair, {
      errno: errnoName(errno),
    });
  }
  const answer = useScratch(lab.kernel, (s) => {
    using pad = new Pad(lab.kernel);
    using uffd = Userfaultfd.open(lab.kernel, { kind: 'user-mode-only' });
    uffd.register(s.window, s.bytes, UFFDIO_REGISTER_MODE_MISSING);
    // A system call takes this fault, so this thread does not wait for it.
    return pad.tryRead(s.window);
  });
  if (answer !== -EFAULT)
    throw contradiction(`a system call read ${answer} bytes of a missing page under the user-mode-only kind`);
  return ok(
    'opens; a system call that reads a missing page of registered memory fails with EFAULT, as tried with pwrite(2)',
    { systemCallOnMissingPage: 'EFAULT' },
  );
}

/** The three ways together: what a heap gets. */
function access(lab: Lab): Finding {
  const full = tryOpen(lab, openFullBySyscall);
  const device = tryOpen(lab, openFullByDevice);
  const userModeOnly = full === 0 && lab.quick ? 0 : tryOpen(lab, openUserModeOnly);
  const facts = full === 0 && lab.quick ? {} : { ...accessFacts(lab.kernel, lab.host) };
  if (full === 0 || device === 0) {
    const way = full === 0 ? 'userfaultfd(2)' : DEVICE;
    return ok(`a heap gets the full kind, through ${way}`, { ...facts, kind: 'full', way, obstacle: null });
  }
  if (userModeOnly === 0) {
    const { which, words, repair } = refusal(lab, full, false);
    return limited(
      'a heap gets the user-mode-only kind: a system call that touches a page not yet built fails with EFAULT. ' +
        `The full kind is ${words}; ${DEVICE}: ${errnoName(device)}`,
      repair,
      { ...facts, kind: 'user-mode-only', way: 'userfaultfd(2)', obstacle: which ?? null },
    );
  }
  // What the kind for everybody says is the cause: privileges do not matter to it. Kernels without it say EINVAL.
  const [errno, only] = userModeOnly === EINVAL ? [full, false] : [userModeOnly, true];
  const { which, words, repair } = refusal(lab, errno, only);
  return missing(
    `no way to a userfaultfd: userfaultfd(2) is ${words}; ${DEVICE}: ${errnoName(device)}`,
    repair,
    {
      ...facts,
      kind: null,
      way: null,
      obstacle: which ?? null,
    },
  );
}

function handshake(lab: Lab): Finding {
  using uffd = Userfaultfd.open(lab.kernel);
  // It can be agreed on once.
  const again = request(lab.kernel, uffd.fd, UFFDIO_API, [UFFD_API, 0, 0]);
  if (again !== -EINVAL)
    throw contradiction(`a second UFFDIO_API ended with ${outcome(again)} instead of EINVAL`);
  const features = `0x${uffd.features.toString(16)}`;
  return ok(`UFFDIO_API agrees; the kernel names features ${features}, each of which is tried below`, {
    features,
  });
}

export const ACCESS: ExperimentGroup = {
  group: 'access',
  experiments: [
    {
      id: 'uffd-access',
      gives: 'page faults of the heap reach its fault servers, so the program runs on while pages are moved',
      without: 'the concurrent collector; collector: "stop-the-world" needs no userfaultfd',
      required: true,
      run: access,
    },
    {
      id: 'uffd-full',
      gives: 'a system call may read and write heap memory at any time',
      without:
        'a system call on heap memory fails with EFAULT where a page is not built yet: copy data out of the heap first',
      run: fullBySyscall,
    },
    {
      id: 'uffd-device',
      gives: 'the full kind for whoever may open a file, without a capability or a system-wide setting',
      without: 'nothing, where userfaultfd(2) gives the full kind',
      run: fullByDevice,
    },
    {
      id: 'uffd-user-mode-only',
      gives: 'concurrent collection without any privilege',
      without: 'concurrent collection needs the full kind, and so a privilege',
      run: userModeOnly,
    },
    {
      id: 'uffd-api',
      gives: 'the interface that every other request builds on',
      without: 'the concurrent collector',
      required: true,
      needs: ['uffd-access'],
      run: handshake,
    },
  ],
};
