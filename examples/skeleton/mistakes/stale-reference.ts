// `cons` keeps its operands in variables while it allocates.
import type { Embedder } from 'tospace/conformance';
import { writePair } from '../access.ts';
import { allocatePair } from '../allocate.ts';
import { skeleton } from '../embedder.ts';
import type { Types } from '../layout.ts';
import type { Machine } from '../machine.ts';

const embedder: Embedder<Machine, Types> = {
  ...skeleton,
  name: 'skeleton with a reference kept over a safepoint',
  module: import.meta.url,
  operations: skeleton.operations.map((operation) =>
    operation.name !== 'cons'
      ? operation
      : {
          ...operation,
          run: (machine, [car, cdr]) => {
            const pair = allocatePair(machine);
            writePair(machine, pair, 'car', car!);
            writePair(machine, pair, 'cdr', cdr!);
            return pair;
          },
        },
  ),
};

export default embedder;
