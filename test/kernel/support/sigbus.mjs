// Touches a missing page of memory that a userfaultfd with the SIGBUS feature watches, and has no handler: ends by that signal.
import {
  addressOf,
  createLibcKernel,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_CLOEXEC,
  O_NONBLOCK,
  PR_SET_DUMPABLE,
  PROT_READ,
  PROT_WRITE,
  SYS_PRCTL,
  UFFD_API,
  UFFD_FEATURE_SIGBUS,
  UFFD_USER_MODE_ONLY,
  UFFDIO_API,
  UFFDIO_REGISTER_MODE_MISSING,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
// No core file of a death that is expected.
kernel.syscall(SYS_PRCTL, PR_SET_DUMPABLE, 0);
const address = kernel.mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
const fd = kernel.userfaultfd(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
const api = new BigUint64Array([BigInt(UFFD_API), UFFD_FEATURE_SIGBUS, 0n]);
if (kernel.ioctl(fd, UFFDIO_API, api) < 0) throw new Error('the handshake failed');
Userfaultfd.adopt(kernel, fd, 'full').register(address, PAGE, UFFDIO_REGISTER_MODE_MISSING);
const line = new TextEncoder().encode('watching\n');
kernel.write(1, line, line.length);
const page = new Int32Array(viewOf(address, PAGE));
throw new Error(`it read ${page[0]} at ${addressOf(page)}`);
