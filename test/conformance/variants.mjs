// The skeleton with a mistake, by the name in the address of this module: what the five planted ones do not show.
import { existsSync } from 'node:fs';
import { skeleton } from '../../dist/examples/skeleton/embedder.js';
import { defineTypes } from '../../dist/examples/skeleton/layout.js';

const NULL = 0;
const parameters = new URL(import.meta.url).searchParams;
const HEADER_BYTES = 8;
// What a runtime with an allocator and a barrier of its own knows of the shared memory.
const layout = await import('../../dist/src/heap/layout.js');
const { Tables } = await import('../../dist/src/heap/tables.js');

const withType = (name, changes) => ({
  types: skeleton.types.map((type) => (type.name === name ? { ...type, ...changes(type) } : type)),
});
const withOperation = (name, run) => ({
  operations: skeleton.operations.map((operation) =>
    operation.name === name ? { ...operation, run } : operation,
  ),
});
const withRoots = (name, changes) => ({
  roots: skeleton.roots.map((set) => (set.name === name ? { ...set, ...changes(set) } : set)),
});
/** The tables of a machine's heap, which the machine remembers. */
const attach = (heap, types) => ({
  ...skeleton.attach(heap, types),
  tables: new Tables(heap.memory, heap.share().arena.geometry),
});

const VARIANTS = {
  // The barrier marks the card of the object, not of the slot.
  'card-of-the-object': () => ({
    attach,
    ...withType('vector', () => ({
      write({ mutator, tables }, vector, index, value) {
        const { cards, heap } = tables.geometry;
        mutator.i32[((vector + HEADER_BYTES) >> 2) + index] = value;
        tables.bytes(cards + ((vector - heap) >> layout.CARD_LOG2), 1)[0] = layout.CARD_DIRTY;
      },
    })),
  }),
  // An operation on old objects forgets what `write` does right.
  'barrier-in-an-operation': () =>
    withOperation('reverse', (machine, [list]) => {
      const { i32 } = machine.mutator;
      let done = NULL;
      for (let pair = list; pair !== NULL && machine.mutator.typeId(pair) === machine.types.pair.id; ) {
        const next = i32[(pair + machine.types.pair.offset.cdr) >> 2];
        i32[(pair + machine.types.pair.offset.cdr) >> 2] = done;
        done = pair;
        pair = next;
      }
      return done;
    }),
  // The code of a closure is taken for a reference.
  'extra-reference': () => ({ define: (heap) => defineTypes(heap, [8, 12, 16]) }),
  // The stack's top is one too low.
  'one-root-short': () =>
    withRoots('registers', (set) => {
      let last = NULL;
      return {
        get: (machine, index) => (index === 15 ? last : set.get(machine, index)),
        set: (machine, index, value) => {
          if (index === 15) last = value;
          else set.set(machine, index, value);
        },
      };
    }),
  // A root that keeps its object alive elsewhere, and a copy of the address.
  'cached-root': () =>
    withRoots('globals', (set) => {
      const cache = [];
      return {
        get: (machine, index) => cache[index] ?? set.get(machine, index),
        set: (machine, index, value) => {
          cache[index] = value;
          set.set(machine, index, value);
        },
      };
    }),
  // A loop keeps the last pair in a variable.
  'stale-in-a-loop': () =>
    withOperation('append', (machine, [list, rest]) => {
      const { mutator } = machine;
      const { pair } = machine.types;
      return mutator.scope(() => {
        const from = mutator.local(list);
        const kept = mutator.local(rest);
        const first = mutator.local(NULL);
        let last = NULL;
        while (mutator.get(from) !== NULL && mutator.typeId(mutator.get(from)) === pair.id) {
          const copy = mutator.allocate(pair);
          mutator.setRef(copy, pair.offset.car, mutator.getRef(mutator.get(from), pair.offset.car));
          if (last === NULL) mutator.set(first, copy);
          else mutator.i32[(last + pair.offset.cdr) >> 2] = copy;
          last = copy;
          mutator.set(from, mutator.getRef(mutator.get(from), pair.offset.cdr));
        }
        if (last === NULL) return mutator.get(kept);
        mutator.i32[(last + pair.offset.cdr) >> 2] = mutator.get(kept);
        return mutator.get(first);
      });
    }),
  // Returns what it got, after a safepoint.
  'stale-result': () =>
    withOperation('extend', (machine, [vector]) => {
      machine.mutator.allocate(machine.types.pair);
      return vector;
    }),
  // An allocator of its own moves the cursor by too little.
  'short-bump': () => ({
    attach,
    ...withType('closure', (type) => ({
      allocate(machine, length) {
        const ref = type.allocate(machine, length);
        machine.tables.threads[machine.mutator.index][layout.T_CURSOR] -= 8;
        return ref;
      },
    })),
  }),
  // The length is kept in bytes.
  'length-in-bytes': () =>
    withType('string', () => ({
      bytes: (machine, object) => HEADER_BYTES + machine.mutator.length(object),
    })),
  'no-poll': () => ({ safepoint: () => {} }),
  'disagrees-with-its-model': () =>
    withOperation('cons', (machine, [car]) => skeleton.operations[0].run(machine, [car, car])),
  dies: () => withOperation('cons', () => process.exit(3)),
  // The machine's first object is stored after another allocation.
  'stale-in-attach': () => ({
    attach(heap, types) {
      const machine = skeleton.attach(heap, types);
      return machine.mutator.run(() => {
        const pair = machine.mutator.allocate(types.pair);
        machine.mutator.allocate(types.pair);
        machine.mutator.persist(pair);
        return machine;
      });
    },
  }),
  // A root is set after an allocation.
  'stale-in-a-root': () =>
    withRoots('globals', (set) => ({
      set(machine, index, value) {
        machine.mutator.allocate(machine.types.pair);
        set.set(machine, index, value);
      },
    })),
  // A string ends with a byte of its own, for which there is no room.
  'writes-past-the-end': () =>
    withOperation('concatenate', (machine, operands) => {
      const { mutator } = machine;
      const string = skeleton.operations.find(({ name }) => name === 'concatenate').run(machine, operands);
      const bytes = (HEADER_BYTES + 2 * mutator.length(string) + 7) & -8;
      mutator.u8[string + bytes + 4] = 0xff;
      return string;
    }),
  // Makes a handle, and leaves it to whoever calls.
  'handle-without-a-scope': () =>
    withOperation('make closure', (machine, [environment, name]) => {
      const kept = machine.mutator.local(environment);
      const ownName = machine.mutator.local(
        skeleton.operations.find((one) => one.name === 'concatenate').run(machine, [name, name]),
      );
      const closure = machine.mutator.allocate(machine.types.closure);
      const { offset } = machine.types.closure;
      machine.mutator.setRef(closure, offset.environment, machine.mutator.get(kept));
      machine.mutator.setRef(closure, offset.name, machine.mutator.get(ownName));
      machine.mutator.setI32(closure, offset.code, 42);
      return closure;
    }),
  // A small integer in the place of a reference.
  'tagged-integer': () =>
    withOperation('cons', (machine, [, cdr]) => {
      const { pair } = machine.types;
      const made = skeleton.operations[0].run(machine, [NULL, cdr]);
      machine.mutator.i32[(made + pair.offset.car) >> 2] = 43;
      return made;
    }),
  'throws-at-once': () => ({
    attach() {
      throw new Error('no such machine');
    },
  }),
  // In one check it hangs, in all others it throws when there is a file that its URL names.
  'hangs-or-throws': () => ({
    attach() {
      const { check } = JSON.parse(process.argv[2]);
      const word = new Int32Array(new SharedArrayBuffer(4));
      const sign = parameters.get('sign');
      while (check === 'safepoint' || !existsSync(sign)) Atomics.wait(word, 0, 0, 20);
      throw new Error('enough');
    },
  }),
};

const name = parameters.get('variant');
export default { ...skeleton, name, module: import.meta.url, ...VARIANTS[name]() };
