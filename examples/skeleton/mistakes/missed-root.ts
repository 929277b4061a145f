// The registers are a JavaScript array: the collector does not know it.
import type { Ref } from 'tospace';
import { NULL } from 'tospace';
import type { Embedder } from 'tospace/conformance';
import { skeleton } from '../embedder.ts';
import type { Types } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { REGISTERS } from '../roots.ts';

const registers: Ref[] = new Array<Ref>(REGISTERS).fill(NULL);

const embedder: Embedder<Machine, Types> = {
  ...skeleton,
  name: 'skeleton with a missed root',
  module: import.meta.url,
  roots: skeleton.roots.map((set) =>
    set.name !== 'registers'
      ? set
      : {
          ...set,
          get: (_machine, index) => registers[index]!,
          set: (_machine, index, value) => {
            registers[index] = value;
          },
        },
  ),
};

export default embedder;
