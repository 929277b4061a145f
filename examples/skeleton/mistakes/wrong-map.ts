// The layout of closures forgets that the name is a reference, too.
import type { Embedder } from 'tospace/conformance';
import { skeleton } from '../embedder.ts';
import { defineTypes, type Types } from '../layout.ts';
import type { Machine } from '../machine.ts';

const embedder: Embedder<Machine, Types> = {
  ...skeleton,
  name: 'skeleton with a wrong reference map',
  module: import.meta.url,
  define: (heap) => defineTypes(heap, [8]),
};

export default embedder;
