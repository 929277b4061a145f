// Strings are registered with one byte to a code unit, and written with two.
import type { Embedder } from 'tospace/conformance';
import { skeleton } from '../embedder.ts';
import { defineTypes, type Types } from '../layout.ts';
import type { Machine } from '../machine.ts';

const embedder: Embedder<Machine, Types> = {
  ...skeleton,
  name: 'skeleton with a size that lies',
  module: import.meta.url,
  define: (heap) => ({ ...defineTypes(heap), string: heap.defineArray('String', 'u8') }),
};

export default embedder;
