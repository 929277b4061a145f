// Step 8. The description for the conformance kit: every line calls code of the steps before. Run it after each of them; leave out what you
// do not have yet.
import type { Embedder, ModelObject, ObjectType, Operation, RootSet } from 'tospace/conformance';
import {
  lengthOf,
  readClosure,
  readCode,
  readElement,
  readPair,
  readText,
  writeClosure,
  writeCode,
  writeElement,
  writePair,
  writeText,
} from './access.ts';
import { allocateClosure, allocatePair, allocateString, allocateVector } from './allocate.ts';
import { defineTypes, type Types } from './layout.ts';
import { attachMachine, type Machine } from './machine.ts';
import { append, concatenate, cons, extend, makeClosure, reverse } from './operations.ts';
import { GLOBALS, REGISTERS, readGlobal, readRegister, writeGlobal, writeRegister } from './roots.ts';
import { poll } from './safepoint.ts';

const PAIR_FIELDS = ['car', 'cdr'] as const;
const CLOSURE_FIELDS = ['environment', 'name'] as const;

const pair: ObjectType<Machine> = {
  name: 'pair',
  allocate: allocatePair,
  bytes: (machine) => machine.types.pair.bytes,
  slots: () => PAIR_FIELDS.length,
  slotName: (slot) => PAIR_FIELDS[slot]!,
  read: (machine, object, slot) => readPair(machine, object, PAIR_FIELDS[slot]!),
  write: (machine, object, slot, value) => writePair(machine, object, PAIR_FIELDS[slot]!, value),
};

const closure: ObjectType<Machine> = {
  name: 'closure',
  allocate: allocateClosure,
  bytes: (machine) => machine.types.closure.bytes,
  slots: () => CLOSURE_FIELDS.length,
  slotName: (slot) => CLOSURE_FIELDS[slot]!,
  read: (machine, object, slot) => readClosure(machine, object, CLOSURE_FIELDS[slot]!),
  write: (machine, object, slot, value) => writeClosure(machine, object, CLOSURE_FIELDS[slot]!, value),
  data: {
    write: (machine, object, seed) => writeCode(machine, object, seed | 0),
    read: (machine, object) => String(readCode(machine, object)),
  },
};

const vector: ObjectType<Machine> = {
  name: 'vector',
  lengths: [0, 300],
  allocate: allocateVector,
  bytes: (machine, object) => 8 + 4 * lengthOf(machine, object),
  slots: (length) => length,
  read: readElement,
  write: writeElement,
};

const string: ObjectType<Machine> = {
  name: 'string',
  lengths: [0, 100],
  allocate: allocateString,
  bytes: (machine, object) => 8 + 2 * lengthOf(machine, object),
  slots: () => 0,
  read: () => {
    throw new Error('a string has no references');
  },
  write: () => {
    throw new Error('a string has no references');
  },
  data: {
    write: (machine, object, seed) => {
      const unit = (i: number): number => 32 + ((seed + i * 7) % 5000);
      const units = Array.from({ length: lengthOf(machine, object) }, (_, i) => unit(i));
      writeText(machine, object, String.fromCharCode(...units));
    },
    read: readText,
  },
};

const registers: RootSet<Machine> = {
  name: 'registers',
  slots: () => REGISTERS,
  get: readRegister,
  set: writeRegister,
};

const globals: RootSet<Machine> = {
  name: 'globals',
  slots: () => GLOBALS,
  get: readGlobal,
  set: writeGlobal,
};

type Value = ModelObject | null;

/** The pairs of a list, until something else comes. Undefined when it goes round in a circle. */
function pairsOf(list: Value): ModelObject[] | undefined {
  const pairs: ModelObject[] = [];
  const seen = new Set<Value>();
  for (let at = list; at?.type === 'pair'; at = at.slots[1]!) {
    if (seen.has(at)) return undefined;
    seen.add(at);
    pairs.push(at);
  }
  return pairs;
}

const PAIRS_MAX = 50;
/** Lists that end, and soon: random appending would double them again and again. */
const isShort = ([list]: readonly Value[]): boolean => (pairsOf(list!)?.length ?? PAIRS_MAX) < PAIRS_MAX;
const newPair = (car: Value, cdr: Value): ModelObject => ({ type: 'pair', slots: [car, cdr] });
const newString = (data: string): ModelObject => ({ type: 'string', slots: [], data });
/** The code of closures that the kit makes. */
const CODE = 42;

const operations: readonly Operation<Machine>[] = [
  {
    name: 'cons',
    operands: ['any', 'any'],
    run: (machine, [car, cdr]) => cons(machine, car!, cdr!),
    expect: ([car, cdr]) => newPair(car!, cdr!),
  },
  {
    name: 'append',
    operands: ['pair', 'any'],
    accepts: isShort,
    run: (machine, [list, rest]) => append(machine, list!, rest!),
    expect: ([list, rest]) =>
      pairsOf(list!)!.reduceRight<Value>((tail, { slots }) => newPair(slots[0]!, tail), rest!),
  },
  {
    name: 'reverse',
    operands: ['pair'],
    accepts: isShort,
    run: (machine, [list]) => reverse(machine, list!),
    expect: ([list]) =>
      pairsOf(list!)!.reduce<Value>((done, one) => {
        one.slots[1] = done;
        return one;
      }, null),
  },
  {
    name: 'extend',
    operands: ['vector', 'any'],
    accepts: ([from]) => from!.slots.length < 1000,
    run: (machine, [from, value]) => extend(machine, from!, value!),
    expect: ([from, value]) => ({ type: 'vector', slots: [...from!.slots, value!] }),
  },
  {
    name: 'concatenate',
    operands: ['string', 'string'],
    // Short ones only, or random concatenation of its results fills any heap.
    accepts: ([left, right]) => left!.data!.length + right!.data!.length < 1000,
    run: (machine, [left, right]) => concatenate(machine, left!, right!),
    expect: ([left, right]) => newString(left!.data! + right!.data!),
  },
  {
    name: 'make closure',
    operands: ['any', 'string'],
    accepts: ([, name]) => name!.data!.length < 500,
    run: (machine, [environment, name]) => makeClosure(machine, environment!, CODE, name!),
    expect: ([environment, name]) => ({
      type: 'closure',
      slots: [environment!, newString(name!.data! + name!.data!)],
      data: String(CODE),
    }),
  },
];

export const skeleton: Embedder<Machine, Types> = {
  name: 'skeleton',
  module: import.meta.url,
  define: (heap) => defineTypes(heap),
  attach: attachMachine,
  mutator: (machine) => machine.mutator,
  safepoint: poll,
  types: [pair, closure, vector, string],
  roots: [registers, globals],
  operations,
};

export default skeleton;
