// What cases about userfaultfd need.
import {
  EPERM,
  errnoName,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  UFFD_USER_MODE_ONLY,
} from '#src/uffd/index.js';
import type { Requirement } from './conformance.ts';
import { kernel, PAGE } from './memory.ts';
import { handshake } from './watcher.ts';

/** UFFD_FEATURE_* bits that can be enabled; `name` is what the skip says is missing. */
export function feature(bits: bigint, name: string): Requirement {
  return {
    missing() {
      const fd = kernel.userfaultfd(UFFD_USER_MODE_ONLY);
      if (fd < 0) return `userfaultfd is refused (${errnoName(fd)})`;
      const { result } = handshake(fd, bits);
      kernel.close(fd);
      if (result === -EPERM) return `this user may not have ${name}`;
      return result < 0 ? `the kernel does not have ${name} (${errnoName(result)})` : undefined;
    },
  };
}

/** A userfaultfd of whatever kind: what cases need whose faults are taken by instructions. */
export const userfaultfd: Requirement = feature(0n, 'userfaultfd');

/** userfaultfd(2) without UFFD_USER_MODE_ONLY: root, CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1. */
export const fullUserfaultfd: Requirement = {
  missing() {
    const fd = kernel.userfaultfd(0);
    if (fd < 0) return `this user may not open a full userfaultfd (${errnoName(fd)})`;
    kernel.close(fd);
    return undefined;
  },
};

/** Machine code in memory, for what no JavaScript can run in: see native.ts. */
export const executableMemory: Requirement = {
  missing() {
    const address = kernel.mmap(0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address < 0) return `executable memory is refused (${errnoName(address)})`;
    kernel.munmap(address, PAGE);
    return undefined;
  },
};
