// The tool that the fork and signal cases stand on: native code in a forked child.
import { expect } from 'vitest';
import { SYS_GETTID } from '#src/uffd/index.js';
import { useActors } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { NativeChild, NativeCode } from './support/native.ts';
import { executableMemory } from './support/requirements.ts';
import { privateArea } from './support/scratch.ts';

const actors = useActors(1);

conformance(
  'a forked child runs native code alone, on its copy of the memory',
  { requires: executableMemory },
  () => {
    using memory = privateArea(1);
    memory.set(0, 11);
    using code = new NativeCode();
    let slots: number[] = [];
    using child = NativeChild.fork((c) => {
      const before = c.load(memory.address);
      c.store(memory.address, 22);
      slots = [before, c.load(memory.address), c.syscall(SYS_GETTID)];
      c.exit(3);
    }, code);
    expect(child.exitStatus()).toBe(3);
    expect(slots.map((slot) => code.read(slot))).toEqual([11, 22, child.pid]);
    expect(memory.get(0)).toBe(11);
    expect(actors[0]!.load(memory.address).result()).toBe(11);
  },
);
