// Step 7. Operations: the runtime's own code, where references are in variables and mistakes are made.
//
// The rule: what is needed after an allocation goes into a local handle before it, and is read again from there. Operands come as references
// and are no exception. A scope releases the handles.
import { NULL, type Ref } from 'tospace';
import { lengthOf, readPair, readText, writeClosure, writeCode, writePair, writeText } from './access.ts';
import { allocateClosure, allocatePair, allocateString, allocateVector } from './allocate.ts';
import type { Machine } from './machine.ts';
import { poll } from './safepoint.ts';

/** A pair of two values. */
export function cons(machine: Machine, car: Ref, cdr: Ref): Ref {
  const { mutator } = machine;
  return mutator.scope(() => {
    const keptCar = mutator.local(car);
    const keptCdr = mutator.local(cdr);
    const pair = allocatePair(machine);
    writePair(machine, pair, 'car', mutator.get(keptCar));
    writePair(machine, pair, 'cdr', mutator.get(keptCdr));
    return pair;
  });
}

function isPair({ mutator, types }: Machine, value: Ref): boolean {
  return value !== NULL && mutator.typeId(value) === types.pair.id;
}

/** The pairs of `list`, copied, and `rest` behind them. */
export function append(machine: Machine, list: Ref, rest: Ref): Ref {
  const { mutator } = machine;
  return mutator.scope(() => {
    const from = mutator.local(list);
    const keptRest = mutator.local(rest);
    const first = mutator.local(NULL);
    const last = mutator.local(NULL);
    while (isPair(machine, mutator.get(from))) {
      const copy = allocatePair(machine);
      // No safepoint from here to the end of the round: plain variables will do.
      const original = mutator.get(from);
      writePair(machine, copy, 'car', readPair(machine, original, 'car'));
      if (mutator.get(last) === NULL) mutator.set(first, copy);
      else writePair(machine, mutator.get(last), 'cdr', copy);
      mutator.set(last, copy);
      mutator.set(from, readPair(machine, original, 'cdr'));
    }
    if (mutator.get(last) === NULL) return mutator.get(keptRest);
    writePair(machine, mutator.get(last), 'cdr', mutator.get(keptRest));
    return mutator.get(first);
  });
}

/** Turns the pairs of a list round, in place. Allocates nothing, so it polls. */
export function reverse(machine: Machine, list: Ref): Ref {
  const { mutator } = machine;
  return mutator.scope(() => {
    const rest = mutator.local(list);
    const done = mutator.local(NULL);
    while (isPair(machine, mutator.get(rest))) {
      poll(machine);
      const pair = mutator.get(rest);
      mutator.set(rest, readPair(machine, pair, 'cdr'));
      writePair(machine, pair, 'cdr', mutator.get(done));
      mutator.set(done, pair);
    }
    return mutator.get(done);
  });
}

/** A vector with one element more. */
export function extend(machine: Machine, vector: Ref, value: Ref): Ref {
  const { mutator } = machine;
  return mutator.scope(() => {
    const from = mutator.local(vector);
    const kept = mutator.local(value);
    const length = lengthOf(machine, vector);
    const longer = allocateVector(machine, length + 1);
    mutator.copyElements(mutator.get(from), 0, longer, 0, length);
    mutator.setElement(longer, length, mutator.get(kept));
    return longer;
  });
}

/** Two strings in one. Text in a JavaScript string is no reference, and may be kept. */
export function concatenate(machine: Machine, left: Ref, right: Ref): Ref {
  const text = readText(machine, left) + readText(machine, right);
  const string = allocateString(machine, text.length);
  writeText(machine, string, text);
  return string;
}

/** A closure over an environment, with a name made of another's. */
export function makeClosure(machine: Machine, environment: Ref, code: number, name: Ref): Ref {
  const { mutator } = machine;
  return mutator.scope(() => {
    const kept = mutator.local(environment);
    const ownName = mutator.local(concatenate(machine, name, name));
    const closure = allocateClosure(machine);
    writeClosure(machine, closure, 'environment', mutator.get(kept));
    writeClosure(machine, closure, 'name', mutator.get(ownName));
    writeCode(machine, closure, code);
    return closure;
  });
}
