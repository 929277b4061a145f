// The machine at work: a program that makes some garbage, keeps a little, and says what it kept.
import { createHeap, NULL } from 'tospace';
import { readPair, readText, writeText } from './access.ts';
import { allocateString } from './allocate.ts';
import { defineTypes } from './layout.ts';
import { attachMachine, type Machine } from './machine.ts';
import { append, concatenate, cons, reverse } from './operations.ts';
import { readGlobal, readRegister, writeGlobal, writeRegister } from './roots.ts';

export interface ProgramReport {
  /** What the program computed. */
  readonly text: string;
  readonly allocatedBytes: number;
  readonly cycles: number;
}

const WORDS = ['objects', 'move', 'and', 'the', 'program', 'runs'];
/** Copies of the list that are thrown away. */
const ROUNDS = 60_000;

function text(machine: Machine, word: string): ReturnType<typeof allocateString> {
  const string = allocateString(machine, word.length);
  writeText(machine, string, word);
  return string;
}

function speak(machine: Machine): string {
  writeGlobal(machine, 0, NULL);
  for (const word of WORDS)
    writeGlobal(machine, 0, cons(machine, text(machine, word), readGlobal(machine, 0)));
  writeGlobal(machine, 0, reverse(machine, readGlobal(machine, 0)));
  // Each round's list is garbage when the next one is made.
  for (let i = 0; i < ROUNDS; i++) writeRegister(machine, 0, append(machine, readGlobal(machine, 0), NULL));
  writeRegister(machine, 1, text(machine, ''));
  while (readRegister(machine, 0) !== NULL) {
    writeRegister(machine, 1, concatenate(machine, readRegister(machine, 1), text(machine, ' ')));
    const word = readPair(machine, readRegister(machine, 0), 'car');
    writeRegister(machine, 1, concatenate(machine, readRegister(machine, 1), word));
    writeRegister(machine, 0, readPair(machine, readRegister(machine, 0), 'cdr'));
  }
  return readText(machine, readRegister(machine, 1)).trim();
}

export async function runProgram(): Promise<ProgramReport> {
  await using heap = await createHeap({ heap: '2MiB', minHeap: '1MiB' });
  const machine = attachMachine(heap, defineTypes(heap));
  const said = machine.mutator.run(() => speak(machine));
  machine.mutator.detach();
  const { allocatedBytes, cycles } = heap.stats();
  return { text: said, allocatedBytes, cycles };
}
