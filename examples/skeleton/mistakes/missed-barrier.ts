// Elements of vectors are stored through a view: no card is marked.
import type { Embedder } from 'tospace/conformance';
import { skeleton } from '../embedder.ts';
import type { Types } from '../layout.ts';
import type { Machine } from '../machine.ts';

const embedder: Embedder<Machine, Types> = {
  ...skeleton,
  name: 'skeleton with a missed barrier',
  module: import.meta.url,
  types: skeleton.types.map((type) =>
    type.name !== 'vector'
      ? type
      : {
          ...type,
          write: ({ mutator }, vector, index, value) => {
            mutator.i32[((vector + 8) >> 2) + index] = value;
          },
        },
  ),
};

export default embedder;
