// A forked child that runs nothing of Node: V8 keeps its memory out of forked children (MADV_DONTFORK), so not even a return
// into JavaScript works there.
//
// The child's program is a list of system calls, assembled into a page. clone(2) gives the child a stack that holds nothing but
// the address of that page: where the C library's syscall() returns to in the child.
import {
  addressOf,
  check,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PR_SET_PDEATHSIG,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  SIGCHLD,
  SIGKILL,
  SYS_CLONE,
  SYS_EXIT_GROUP,
  SYS_KILL,
  SYS_PRCTL,
  SYS_WAIT4,
  viewOf,
  WNOHANG,
} from '#src/uffd/index.js';
import { kernel, PAGE } from './memory.ts';

/** A number, then up to six arguments. */
export type SystemCall = readonly [number: number, ...args: number[]];

const CHILD_TIMEOUT_MS = 10_000;
// mov into rdi, rsi, rdx, r10, r8, r9: the first two bytes; an eight-byte immediate follows.
const MOV_ARGUMENT = [0xbf48, 0xbe48, 0xba48, 0xba49, 0xb849, 0xb949];

function assemble(calls: readonly SystemCall[]): Buffer {
  const parts: Buffer[] = [];
  const call = ([number, ...args]: SystemCall): Buffer => {
    const code = Buffer.alloc(args.length * 10 + 7);
    args.forEach((arg, i) => {
      code.writeUInt16LE(MOV_ARGUMENT[i]!, i * 10);
      code.writeBigInt64LE(BigInt(arg), i * 10 + 2);
    });
    const end = args.length * 10;
    code[end] = 0xb8; // mov eax, number
    code.writeInt32LE(number, end + 1);
    code.writeUInt16LE(0x050f, end + 5); // syscall
    return code;
  };
  for (const [index, one] of calls.entries()) {
    const exit = call([SYS_EXIT_GROUP, index + 1]);
    // test rax, rax; jns behind the exit
    parts.push(call(one), Buffer.from([0x48, 0x85, 0xc0, 0x79, exit.length]), exit);
  }
  parts.push(call([SYS_EXIT_GROUP, 0]));
  return Buffer.concat(parts);
}

/**
 * Forks a child that makes the calls one after the other.
 * @returns 0 when all succeeded, else the number of the first that failed, counted from 1
 */
export async function runForked(calls: readonly SystemCall[]): Promise<number> {
  const code = assemble([[SYS_PRCTL, PR_SET_PDEATHSIG, SIGKILL], ...calls]);
  if (code.length > PAGE) throw new Error('the program of a forked child is one page at most');
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const block = check(
    kernel.mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0),
    'mmap',
    'mapping a program',
  );
  try {
    new Uint8Array(viewOf(block, PAGE)).set(code);
    const stack = block + 2 * PAGE - 64;
    new BigInt64Array(viewOf(stack, 8))[0] = BigInt(block);
    check(kernel.mprotect(block, PAGE, PROT_READ | PROT_EXEC), 'mprotect', 'sealing a program');
    const pid = check(kernel.syscall(SYS_CLONE, SIGCHLD, stack), 'clone', 'forking');
    const status = await statusOf(pid);
    // The call that binds the child to its parent is not the caller's.
    return status === 0 ? 0 : status - 1;
  } finally {
    kernel.munmap(block, 2 * PAGE);
  }
}

async function statusOf(pid: number): Promise<number> {
  const status = new Int32Array(1);
  const wait = (options: number): number =>
    check(kernel.syscall(SYS_WAIT4, pid, addressOf(status), options, 0), 'wait4', 'waiting for a child');
  for (const deadline = Date.now() + CHILD_TIMEOUT_MS; wait(WNOHANG) !== pid; ) {
    if (Date.now() > deadline) {
      kernel.syscall(SYS_KILL, pid, SIGKILL);
      wait(0);
      throw new Error('the forked child did not end');
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const signal = status[0]! & 0x7f;
  if (signal !== 0) throw new Error(`signal ${signal} ended the forked child`);
  return status[0]! >> 8;
}
