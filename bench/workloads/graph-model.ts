// The plain JavaScript twin of what random-graph keeps on the managed heap: V8's own collector keeps it, so that whatever happens to the
// managed heap, the model knows what should be there.

import type { Random } from './random.ts';

/** Kinds of objects; the order is that of KINDS. */
export const SMALL = 0;
export const WIDE = 1;
export const REFS = 2;
export const BYTES = 3;
export const WORDS = 4;
export const DOUBLES = 5;

/** References of a record of kind WIDE: more than one word of its reference map has bits. */
export const WIDE_REFS = 70;

interface Kind {
  readonly name: string;
  /** How often it is chosen, in hundredths. */
  readonly weight: number;
  /** Largest length; arrays of that length cover many pages. 0 for records. */
  readonly lengthMax: number;
  /** References of a record. */
  readonly refs: number;
  readonly elementBytes: number;
}

export const KINDS: readonly Kind[] = [
  { name: 'small record', weight: 47, lengthMax: 0, refs: 3, elementBytes: 0 },
  { name: 'wide record', weight: 3, lengthMax: 0, refs: WIDE_REFS, elementBytes: 0 },
  { name: 'array of references', weight: 20, lengthMax: 4000, refs: 0, elementBytes: 4 },
  { name: 'array of bytes', weight: 12, lengthMax: 40_000, refs: 0, elementBytes: 1 },
  { name: 'array of words', weight: 10, lengthMax: 8000, refs: 0, elementBytes: 4 },
  { name: 'array of doubles', weight: 8, lengthMax: 4000, refs: 0, elementBytes: 8 },
];

export class ModelObject {
  readonly id: number;
  readonly kind: number;
  /** Elements of an array, 0 for records. */
  readonly length: number;
  readonly refs: (ModelObject | null)[];
  /** The value of a record; what the contents of an array of raw data are a function of. */
  value: number;
  /** The traversal that last met this object, and its place there. */
  traversal = 0;
  order = 0;

  constructor(id: number, kind: number, length: number, value: number) {
    this.id = id;
    this.kind = kind;
    this.length = length;
    this.value = value;
    this.refs = new Array(kind === REFS ? length : KINDS[kind].refs).fill(null);
  }

  /** About the bytes its twin takes. */
  get bytes(): number {
    return 16 + this.refs.length * 4 + (this.kind > REFS ? this.length * KINDS[this.kind].elementBytes : 0);
  }
}

/** Draws a kind by the weights. */
export function chooseKind(random: Random): number {
  let left = random.below(100);
  for (let kind = 0; kind < KINDS.length; kind++) {
    left -= KINDS[kind].weight;
    if (left < 0) return kind;
  }
  return SMALL;
}

/** Draws a length: most arrays are small, some fill a page, a few cover many. */
export function chooseLength(random: Random, kind: number): number {
  const { lengthMax } = KINDS[kind];
  if (lengthMax === 0) return 0;
  const size = random.below(100);
  if (size < 80) return random.below(12);
  return random.below(size < 98 ? 200 : lengthMax);
}

/** The reachable objects from `roots`, breadth first; numbers them in that order. */
export function reachable(roots: readonly (ModelObject | null)[], traversal: number): ModelObject[] {
  const found: ModelObject[] = [];
  const visit = (object: ModelObject | null): void => {
    if (object === null || object.traversal === traversal) return;
    object.traversal = traversal;
    object.order = found.length;
    found.push(object);
  };
  roots.forEach(visit);
  for (let i = 0; i < found.length; i++) found[i].refs.forEach(visit);
  return found;
}
