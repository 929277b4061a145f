// Which CPU a thread runs on, and may run on. When a mutator faults its CPU is free: a server that may run there answers five
// times faster than one that must be woken on another CPU.
import { TospaceError } from '../errors.ts';
import { check } from './check.ts';
import type { Kernel } from './kernel.ts';

/** CPUs that a mask holds. The kernel accepts no smaller mask than it has possible CPUs, and 8192 is its compile-time limit. */
const CPUS_MAX = 8192;

/**
 * The CPU that the calling thread runs on at this moment, from 0.
 * @throws TospaceError as {@link check}
 */
export function currentCpu(kernel: Kernel): number {
  return check(kernel.getcpu(), 'getcpu', 'asking for the current CPU');
}

/**
 * The CPUs that a thread may run on, ascending.
 * @param tid the kernel's id of the thread; 0 is the calling one
 * @throws TospaceError as {@link check}; ESRCH if there is no such thread
 */
export function allowedCpus(kernel: Kernel, tid: number = 0): number[] {
  const mask = new BigUint64Array(CPUS_MAX / 64);
  check(kernel.schedGetAffinity(tid, mask), 'sched_getaffinity', `asking for the CPUs of thread ${tid}`);
  const cpus: number[] = [];
  mask.forEach((word, index) => {
    for (let bits = word, bit = 0; bits !== 0n; bits >>= 1n, bit++)
      if ((bits & 1n) !== 0n) cpus.push(index * 64 + bit);
  });
  return cpus;
}

/**
 * Restricts a thread to `cpus`. Takes effect before it returns; inherited by threads that it starts later.
 * @param tid the kernel's id of the thread; 0 is the calling one
 * @throws TospaceError `ERR_OPTION` for an empty list or a number that is no CPU; as {@link check}: EINVAL if none of them
 *   exists or is allowed, ESRCH if there is no such thread
 */
export function pin(kernel: Kernel, tid: number, cpus: readonly number[]): void {
  const mask = new BigUint64Array(CPUS_MAX / 64);
  for (const cpu of cpus) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= CPUS_MAX) {
      throw new TospaceError('ERR_OPTION', `cpus must be integers from 0 to ${CPUS_MAX - 1}, not ${cpu}`);
    }
    mask[cpu >> 6]! |= 1n << BigInt(cpu & 63);
  }
  if (cpus.length === 0) throw new TospaceError('ERR_OPTION', 'cpus must name at least one CPU');
  check(
    kernel.schedSetAffinity(tid, mask),
    'sched_setaffinity',
    `pinning thread ${tid} to CPU ${cpus.join(', ')}`,
  );
}
