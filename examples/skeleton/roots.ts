// Step 3. Roots: where references may be kept over a safepoint. Everything else that the program needs must be reachable from here.
//
// The collector knows three places, and this machine uses two of them:
//   registers   slots of the thread's shadow stack: cheap, this thread's own, rewritten in every flip
//   globals     a vector in the heap, and one persistent handle for it: any number of globals for the price of one root
// A JavaScript variable, array or Map is none, however convenient it is.
import type { Ref } from 'tospace';
import { readElement, writeElement } from './access.ts';
import type { Machine } from './machine.ts';

/** Registers of the machine. */
export const REGISTERS = 16;
/** Global variables. */
export const GLOBALS = 40;

export function readRegister({ mutator, registers }: Machine, index: number): Ref {
  return mutator.get(registers[index]!);
}

export function writeRegister({ mutator, registers }: Machine, index: number, value: Ref): void {
  mutator.set(registers[index]!, value);
}

export function readGlobal(machine: Machine, index: number): Ref {
  return readElement(machine, machine.globals.get(), index);
}

export function writeGlobal(machine: Machine, index: number, value: Ref): void {
  writeElement(machine, machine.globals.get(), index, value);
}
