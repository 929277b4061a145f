// What cases need that watch memory.
import { Userfaultfd, type UserfaultfdKind } from '#src/uffd/index.js';
import type { Requirement } from './conformance.ts';
import { kernel } from './memory.ts';

/**
 * That this user may open a userfaultfd.
 * @param kind `full` where the kernel itself takes the faults, in a system call
 */
export function userfaultfd(kind: 'auto' | UserfaultfdKind = 'auto'): Requirement {
  return {
    missing() {
      try {
        Userfaultfd.open(kernel, { kind }).close();
        return undefined;
      } catch (e) {
        return (e as Error).message;
      }
    },
  };
}
