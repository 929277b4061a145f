// Puts a seccomp filter on this process that refuses userfaultfd(2), as containers do, and then runs `tospace doctor` in it.
// Arguments: the errno to refuse with, whether /dev/userfaultfd is refused too (`all`) or not (`call`), the arguments of doctor.
import { doctor } from '#bench/doctor.js';
import { addressOf, createLibcKernel, check, SYS_USERFAULTFD, USERFAULTFD_IOC_NEW } from '#src/uffd/index.js';

const [errno, what, ...args] = process.argv.slice(2);

// linux/filter.h, linux/seccomp.h, linux/prctl.h, linux/audit.h
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const PR_SET_NO_NEW_PRIVS = 38;
const AUDIT_ARCH_X86_64 = 0xc000_003e;
const SYS_IOCTL = 16;
const SYS_PRCTL = 157;
const SYS_SECCOMP = 317;
// struct seccomp_data: s32 nr; u32 arch; u64 instruction_pointer; u64 args[6]
const NR = 0;
const ARCH = 4;
const SECOND_ARGUMENT = 24;

// Jumps count the instructions that are skipped: [code, if true, if false, operand].
const program = [
  [LOAD_WORD, 0, 0, ARCH],
  [JUMP_IF_EQUAL, 0, 5, AUDIT_ARCH_X86_64],
  [LOAD_WORD, 0, 0, NR],
  [JUMP_IF_EQUAL, 4, 0, SYS_USERFAULTFD],
  [JUMP_IF_EQUAL, 0, 2, what === 'all' ? SYS_IOCTL : 0xffff_ffff],
  [LOAD_WORD, 0, 0, SECOND_ARGUMENT],
  [JUMP_IF_EQUAL, 1, 0, USERFAULTFD_IOC_NEW],
  [RETURN, 0, 0, SECCOMP_RET_ALLOW],
  [RETURN, 0, 0, SECCOMP_RET_ERRNO | Number(errno)],
];
const filter = new DataView(new ArrayBuffer(program.length * 8));
program.forEach(([code, ifTrue, ifFalse, operand], i) => {
  filter.setUint16(i * 8, code, true);
  filter.setUint8(i * 8 + 2, ifTrue);
  filter.setUint8(i * 8 + 3, ifFalse);
  filter.setUint32(i * 8 + 4, operand, true);
});
const header = new BigUint64Array([BigInt(program.length), BigInt(addressOf(filter))]);

const kernel = createLibcKernel();
check(kernel.syscall(SYS_PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 'prctl', 'giving up new privileges');
const installed = kernel.syscall(
  SYS_SECCOMP,
  SECCOMP_SET_MODE_FILTER,
  SECCOMP_FILTER_FLAG_TSYNC,
  addressOf(header),
);
check(installed, 'seccomp', 'installing a filter');
process.exitCode = doctor(args);
