// Code for the two places where no JavaScript can run: a forked child, which has none of V8's other threads, and a signal handler.
// It is assembled here, into a block of shared memory, and can do four things: load a word, store a word, make a system call,
// and leave its results in the block, where this process reads them.
//
//   one block:  page 0 code (read and execute once sealed)   page 1 slots, 512 words   page 2 the child's stack
//
// A forked child begins in it because clone(2) gives it a stack that holds nothing but the address of the code: the C library's
// syscall() returns in the child, as it does in the parent, but to there. So nothing of Node runs in the child, not even a return.
import {
  addressOf,
  check,
  MAP_ANONYMOUS,
  MAP_SHARED,
  PR_SET_PDEATHSIG,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  SA_RESTORER,
  SA_SIGINFO,
  SIGCHLD,
  SIGKILL,
  SYS_CLONE,
  SYS_EXIT_GROUP,
  SYS_KILL,
  SYS_PRCTL,
  SYS_READ,
  SYS_RT_SIGACTION,
  SYS_RT_SIGRETURN,
  SYS_WAIT4,
  SYS_WRITE,
  viewOf,
  WNOHANG,
} from '#src/uffd/index.js';
import { type Actor, type Pending, waitFor } from './actors.ts';
import { kernel, PAGE } from './memory.ts';

// mov r64, imm64 for the registers of system-call arguments: rdi, rsi, rdx, r10, r8, r9.
const MOV_ARGUMENT = [
  [0x48, 0xbf],
  [0x48, 0xbe],
  [0x48, 0xba],
  [0x49, 0xba],
  [0x49, 0xb8],
  [0x49, 0xb9],
];

export class NativeCode implements Disposable {
  readonly #block: number;
  readonly #code: number[] = [];
  #slots = 0;
  readonly #words: BigInt64Array;

  constructor() {
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    this.#block = check(kernel.mmap(0, 3 * PAGE, prot, flags, -1, 0), 'mmap', 'mapping memory for code');
    this.#words = new BigInt64Array(viewOf(this.#block + PAGE, PAGE));
  }

  /** Address of the code: a function that takes what its user passes. */
  get address(): number {
    return this.#block;
  }

  /** Top of the stack, with the address of the code on it. */
  get stack(): number {
    const top = this.#block + 3 * PAGE - 64;
    new BigInt64Array(viewOf(top, 8))[0] = BigInt(this.#block);
    return top;
  }

  /** A new word of the block, which the code or the kernel may write. */
  slot(value: number | bigint = 0): number {
    this.#words[this.#slots] = BigInt(value);
    return this.#slots++;
  }

  /** Address of a slot. */
  at(slot: number): number {
    return this.#block + PAGE + slot * 8;
  }

  /** What is in a slot. */
  read(slot: number): number {
    return Number(this.#words[slot]!);
  }

  /** A zero-terminated string in the block. Returns its address. */
  text(value: string): number {
    const bytes = Buffer.from(`${value}\0`);
    const first = this.#slots;
    this.#slots += Math.ceil(bytes.length / 8);
    new Uint8Array(viewOf(this.at(first), bytes.length)).set(bytes);
    return this.at(first);
  }

  /** Reads the 32-bit word at an address. Returns the slot of the value. */
  load(address: number): number {
    const slot = this.slot();
    this.#emit(0xa1, ...imm64(address)); // mov eax, [address]
    return this.#save(slot);
  }

  /** Writes it. */
  store(address: number, value: number): void {
    this.#emit(0xb8, ...imm32(value), 0xa3, ...imm64(address)); // mov eax, value; mov [address], eax
  }

  /** Makes a system call. Returns the slot of its result: 0 or more, or -errno. */
  syscall(number: number, ...args: readonly number[]): number {
    const slot = this.slot();
    args.forEach((arg, i) => {
      this.#emit(...MOV_ARGUMENT[i]!, ...imm64(arg));
    });
    this.#emit(0xb8, ...imm32(number), 0x0f, 0x05); // mov eax, number; syscall
    return this.#save(slot);
  }

  /** Blocks until somebody writes to an eventfd. */
  waitFor(eventFd: number): void {
    this.syscall(SYS_READ, eventFd, this.at(this.slot()), 8);
  }

  /** Writes to an eventfd. */
  signal(eventFd: number): void {
    this.syscall(SYS_WRITE, eventFd, this.at(this.slot(1)), 8);
  }

  /** Ends the process that runs the code. */
  exit(status: number = 0): void {
    this.syscall(SYS_EXIT_GROUP, status);
  }

  /** Ends the process if the last result was negative: who would otherwise run in circles says so instead. */
  exitIfFailed(status: number): void {
    const skip = this.#code.length + 4;
    this.#emit(0x48, 0x85, 0xc0, 0x79, 0); // test rax, rax; jns behind the exit
    this.exit(status);
    this.#code[skip] = this.#code.length - skip - 1;
  }

  /** In a signal handler: the slots of si_code and si_addr. */
  saveSignal(): { code: number; address: number } {
    const code = this.slot();
    const address = this.slot();
    this.#emit(0x8b, 0x46, 0x08, 0xa3, ...imm64(this.at(code))); // mov eax, [rsi+8]; mov [slot], eax
    this.#emit(0x48, 0x8b, 0x46, 0x10, 0x48, 0xa3, ...imm64(this.at(address))); // mov rax, [rsi+16]; mov [slot], rax
    return { code, address };
  }

  /** Returns to the caller; not in a forked child, which has none. */
  return(): void {
    this.#emit(0xc3);
  }

  /** The end of a signal handler: what the kernel wants a handler to return to. */
  sigreturn(): void {
    this.#emit(0xb8, ...imm32(SYS_RT_SIGRETURN), 0x0f, 0x05);
  }

  /** Address of the next instruction. */
  get here(): number {
    return this.#block + this.#code.length;
  }

  /** Puts the code into memory. Nothing can be added afterwards. */
  seal(): this {
    if (this.#code.length > PAGE) throw new Error('the code is longer than a page');
    new Uint8Array(viewOf(this.#block, PAGE)).set(this.#code);
    check(kernel.mprotect(this.#block, PAGE, PROT_READ | PROT_EXEC), 'mprotect', 'sealing code');
    return this;
  }

  [Symbol.dispose](): void {
    kernel.munmap(this.#block, 3 * PAGE);
  }

  #save(slot: number): number {
    this.#emit(0x48, 0xa3, ...imm64(this.at(slot))); // mov [slot], rax
    return slot;
  }

  #emit(...bytes: readonly number[]): void {
    this.#code.push(...bytes);
  }
}

function imm64(value: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return [...bytes];
}

function imm32(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return [...bytes];
}

/** A child process that runs native code. Disposing of it ends it. */
export class NativeChild implements Disposable {
  readonly pid: number;
  readonly #status: Int32Array = new Int32Array(1);
  #isGone = false;

  private constructor(pid: number) {
    this.pid = check(pid, 'clone', 'forking');
  }

  /** Forks this process; the child runs `program` (which must end in an exit) and ends with the thread that forked it. */
  static fork(program: (code: NativeCode) => void, code: NativeCode): NativeChild {
    prepare(program, code);
    return new NativeChild(kernel.syscall(SYS_CLONE, SIGCHLD, code.stack, 0, 0, 0));
  }

  /** The same by an actor, for a fork that blocks its caller. */
  static forkBy(
    actor: Actor,
    program: (code: NativeCode) => void,
    code: NativeCode,
  ): { forking: Pending; child: () => NativeChild } {
    prepare(program, code);
    const forking = actor.syscall(SYS_CLONE, SIGCHLD, code.stack, 0, 0, 0);
    return { forking, child: () => new NativeChild(forking.result()) };
  }

  /** Waits for the end. Returns the exit status, or minus the signal that ended the child. Throws when it does not end. */
  exitStatus(): number {
    if (!waitFor(() => this.#reap())) throw new Error('the forked child is blocked');
    const status = this.#status[0]!;
    return (status & 0x7f) === 0 ? (status >> 8) & 0xff : -(status & 0x7f);
  }

  /** Whether it has not ended. */
  get isRunning(): boolean {
    return !this.#reap();
  }

  /** Ends the child now. */
  kill(): void {
    if (this.#reap()) return;
    kernel.syscall(SYS_KILL, this.pid, SIGKILL);
    waitFor(() => this.#reap());
  }

  [Symbol.dispose](): void {
    this.kill();
  }

  #reap(): boolean {
    if (!this.#isGone)
      this.#isGone = kernel.syscall(SYS_WAIT4, this.pid, addressOf(this.#status), WNOHANG, 0) === this.pid;
    return this.#isGone;
  }
}

/**
 * Forks a child that makes system calls, one after the other.
 * @returns 0 when all succeeded, else the number of the first that failed, counted from 1
 */
export function runForked(calls: readonly (readonly [number: number, ...args: number[]])[]): number {
  using code = new NativeCode();
  using child = NativeChild.fork((c) => {
    for (const [index, [number, ...args]] of calls.entries()) {
      c.syscall(number, ...args);
      c.exitIfFailed(index + 1);
    }
    c.exit();
  }, code);
  return child.exitStatus();
}

function prepare(program: (code: NativeCode) => void, code: NativeCode): void {
  // Without it, a child that waits for a test that has failed would stay for ever.
  code.syscall(SYS_PRCTL, PR_SET_PDEATHSIG, SIGKILL);
  program(code);
  code.seal();
}

/** Installs a native handler for a signal, for all threads, until disposed of. `program` may end in nothing: a return follows. */
export function handleSignal<T>(
  signal: number,
  code: NativeCode,
  program: (code: NativeCode) => T,
): { readonly slots: T } & Disposable {
  const slots = program(code);
  code.return();
  const restorer = code.here;
  code.sigreturn();
  code.seal();
  const flags = BigInt(SA_SIGINFO | SA_RESTORER);
  const action = new BigInt64Array([BigInt(code.address), flags, BigInt(restorer), 0n]);
  const before = new BigInt64Array(4);
  const install = (to: BigInt64Array, old: number): number =>
    kernel.syscall(SYS_RT_SIGACTION, signal, addressOf(to), old, 8);
  check(install(action, addressOf(before)), 'rt_sigaction', 'installing a signal handler');
  return {
    slots,
    [Symbol.dispose]() {
      check(install(before, 0), 'rt_sigaction', 'restoring a signal handler');
    },
  };
}
