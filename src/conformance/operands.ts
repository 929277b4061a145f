// Operands for an operation: objects of the types it asks for, with references to others, each in a handle of the kit's.
//
// *Rounds.* An operation that walks shows most of its mistakes only where it has somewhere to go. So the shape of operands is left to chance in
// every second round only. In the others nothing is null, and chains go on by the last slot, as lists do; the first of them is as long as a
// chain can be. What a check of few rounds finds there, it finds with every seed.

import { NULL, type Ref } from '../heap/ref.ts';
import type { ModelObject, Operation } from './embedder.ts';
import { compareAll, type Difference, make } from './model.ts';
import type { Random } from './random.ts';
import type { AnyType, Rig } from './rig.ts';

/** Tries at operands that the operation accepts. */
const TRIES = 20;
/** What the slots of operands refer to: few, so that some refer to the same. */
const NEIGHBOURS = 3;
/** Objects in a chain at most. */
const CHAIN = 4;

interface Held {
  get(): Ref;
  close(): void;
}

export interface Operands {
  readonly models: readonly (ModelObject | null)[];
  refs(): Ref[];
  /** Compares the operands with their models, and the result with its. */
  compare(result: Ref, expected: ModelObject | null): Difference | undefined;
  close(): void;
}

export function typeOf(rig: Rig, random: Random, operand: string): AnyType {
  return operand === 'any' ? random.pick(rig.embedder.types) : rig.type(operand);
}

/**
 * @param round how often the operation was tried before: says what shape the operands have.
 * @throws Error when the operation accepts none of many.
 */
export function operandsFor(
  rig: Rig,
  random: Random,
  operation: Operation<unknown>,
  round: number,
): Operands {
  for (let i = 0; i < TRIES; i++) {
    const operands = build(rig, random, operation, round);
    if (operation.accepts?.(operands.models) ?? true) return operands;
    operands.close();
  }
  throw new Error(`operation ${operation.name} accepted none of ${TRIES} choices of operands`);
}

function build(rig: Rig, random: Random, operation: Operation<unknown>, round: number): Operands {
  const { m, runtime, embedder } = rig;
  const plain = round % 2 === 0;
  const hold = (type: AnyType): { model: ModelObject; handle: Held } => {
    const { ref, model } = make(rig, random, type);
    return { model, handle: m.persist(ref) };
  };
  const neighbours = Array.from({ length: NEIGHBOURS }, () => hold(random.pick(embedder.types)));
  const links: { model: ModelObject; handle: Held }[] = [];
  const operands = operation.operands.map((operand) => {
    if (operand === 'any' && !plain && random.int(3) === 0)
      return { model: null, handle: { get: () => NULL, close() {} } };
    // A chain of the same type, so that an operation that walks has somewhere to go.
    const type = typeOf(rig, random, operand);
    const length = plain ? CHAIN - (round % CHAIN) : 1 + random.int(CHAIN);
    const chain = Array.from({ length }, () => hold(type));
    for (const [i, { model, handle }] of chain.entries()) {
      const slots = model.slots.length;
      const link = plain ? slots - 1 : random.int(slots);
      for (let slot = 0; slot < slots; slot++) {
        const next = slot === link ? chain[i + 1] : random.int(3) === 0 ? undefined : random.pick(neighbours);
        if (next === undefined) continue;
        model.slots[slot] = next.model;
        type.write(runtime, handle.get(), slot, next.handle.get());
      }
    }
    links.push(...chain.slice(1));
    return chain[0]!;
  });
  const all = [...operands, ...links, ...neighbours];
  return {
    models: operands.map(({ model }) => model),
    refs: () => operands.map(({ handle }) => handle.get()),
    compare: (result, expected) =>
      compareAll(rig, [
        ...all.map(({ handle, model }) => [handle.get(), model] as const),
        [result, expected] as const,
      ]),
    close: () => {
      for (const { handle } of all) handle.close();
    },
  };
}
