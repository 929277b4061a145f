// Random heaps, and what a compaction makes of them, computed the simple way: a model for the kernels to agree with.
import { PAGE_BYTES } from '#src/heap/layout.js';
import type { ArenaHarness } from './arena-harness.ts';
import type { Random } from './random.ts';

export interface ModelObject {
  readonly at: number;
  readonly bytes: number;
  /** Byte offsets of the reference slots. */
  readonly slots: readonly number[];
}

/** Ids of the types that random objects have. */
export interface ModelTypes {
  readonly records: readonly {
    readonly id: number;
    readonly bytes: number;
    readonly slots: readonly number[];
  }[];
  readonly refs: number;
  readonly bytes: number;
}

export function defineModelTypes(h: ArenaHarness): ModelTypes {
  const record = (bytes: number, slots: readonly number[]) => ({
    id: h.types.recordLayout(`r${bytes}`, bytes, slots),
    bytes,
    slots,
  });
  const every = (from: number, to: number, step: number): number[] => {
    const slots: number[] = [];
    for (let at = from; at < to; at += step) slots.push(at);
    return slots;
  };
  return {
    records: [
      record(8, []),
      record(16, [8, 12]),
      record(24, [12]),
      record(40, [8, 36]),
      record(128, every(8, 128, 12)),
      record(136, [8, 132]),
      record(512, [508]),
      record(520, [8, 252, 256, 260, 516]),
      // Exactly a page, a page and a granule, and one over five pages with words of its map that hold no reference.
      record(4096, [8, 4092]),
      record(4104, [4092, 4096, 4100]),
      record(20_008, [...every(8, 4000, 28), 20_004]),
    ],
    refs: h.types.refArray('refs').id,
    bytes: h.types.rawArray('bytes', 'u8').id,
  };
}

export type Fill = 'mixed' | 'small' | 'large' | 'pages';

/** Places one object at `at`, if it fits below `limit`. */
function place(
  h: ArenaHarness,
  types: ModelTypes,
  random: Random,
  at: number,
  limit: number,
  fill: Fill,
): ModelObject | undefined {
  const room = limit - at;
  let object: ModelObject;
  const kind = random.int(0, 9);
  if (fill === 'pages') {
    const type = types.records.find((record) => record.bytes === PAGE_BYTES)!;
    object = { at, bytes: type.bytes, slots: type.slots };
    if (object.bytes > room) return undefined;
    h.put(at, type.id);
  } else if (kind < 6 || fill === 'small') {
    const largest =
      fill === 'small'
        ? 5
        : fill === 'large'
          ? types.records.length
          : random.pick([4, 8, types.records.length]);
    const type = types.records[random.int(0, largest - 1)]!;
    object = { at, bytes: type.bytes, slots: type.slots };
    if (object.bytes > room) return undefined;
    h.put(at, type.id | (random.int(0, 65535) << 16), random.int(0, 2 ** 31));
  } else if (kind < 8) {
    const length = random.int(0, random.pick([3, 30, fill === 'large' ? 9000 : 300]));
    object = { at, bytes: (8 + 4 * length + 7) & -8, slots: Array.from({ length }, (_, i) => 8 + 4 * i) };
    if (object.bytes > room) return undefined;
    h.put(at, types.refs, length);
  } else {
    const length = random.int(0, random.pick([16, 600, fill === 'large' ? 40_000 : 3000]));
    object = { at, bytes: (8 + length + 7) & -8, slots: [] };
    if (object.bytes > room) return undefined;
    h.put(at, types.bytes, length);
  }
  return object;
}

export interface ModelHeap {
  /** Objects below the black line, in the order of their addresses. */
  readonly old: ModelObject[];
  readonly live: ModelObject[];
  readonly black: ModelObject[];
  readonly blackLine: number;
  readonly cursor: number;
}

export interface HeapShape {
  readonly fill: Fill;
  /** Part of the heap below the black line. */
  readonly oldPart: number;
  /** Probability that an old object lives. */
  readonly survival: number;
  /** Whether black buffers are taken, and until the heap is full. */
  readonly black: 'none' | 'some' | 'full';
}

/** Fills the (reset) heap of `h`; live and black objects refer to live and black objects, null, and places outside. */
export function randomHeap(h: ArenaHarness, types: ModelTypes, random: Random, shape: HeapShape): ModelHeap {
  const { heap, end } = h;
  const pages = (end - heap) / PAGE_BYTES;
  const blackLine = heap + Math.floor(pages * shape.oldPart) * PAGE_BYTES;
  const old: ModelObject[] = [];
  for (let at = heap; at < blackLine; ) {
    const object = place(h, types, random, at, blackLine, shape.fill);
    if (object === undefined) {
      // What does not fit at the very end is filled up with the smallest objects, so that the last granule is in use.
      if (blackLine - at < 4096 || shape.fill === 'pages') {
        h.put(at, types.records[0]!.id);
        old.push({ at, bytes: 8, slots: [] });
        at += 8;
      }
      continue;
    }
    old.push(object);
    at += object.bytes;
  }
  const live = old.filter(() => random.chance(shape.survival));

  const black: ModelObject[] = [];
  let cursor = blackLine;
  while (shape.black !== 'none' && cursor < end && (shape.black === 'full' || random.chance(0.85))) {
    // A buffer from one page to sixteen, or the pages of one large object.
    const wanted = random.pick([1, 1, 2, 3, 16]) * PAGE_BYTES;
    const limit = Math.min(cursor + wanted, end);
    const until = random.pick([
      cursor,
      cursor + 8,
      limit - 8,
      limit,
      limit,
      cursor + random.int(0, limit - cursor),
    ]);
    let at = cursor;
    if (random.chance(0.15)) {
      const object = place(h, types, random, cursor, end, 'large');
      if (object !== undefined) {
        black.push(object);
        at = cursor + object.bytes;
      }
    } else {
      for (let object = place(h, types, random, at, until, 'mixed'); object !== undefined; ) {
        black.push(object);
        at += object.bytes;
        object = place(h, types, random, at, until, shape.fill === 'pages' ? 'mixed' : shape.fill);
      }
      // Fill the page to its very end sometimes.
      if (until === limit) {
        for (; at < limit; at += 8) {
          h.put(at, types.records[0]!.id);
          black.push({ at, bytes: 8, slots: [] });
        }
      }
    }
    const next = Math.max(limit, Math.ceil(at / PAGE_BYTES) * PAGE_BYTES);
    for (let page = cursor; page < next; page += PAGE_BYTES)
      h.setPageFirst((page - heap) / PAGE_BYTES, cursor);
    cursor = next;
  }
  const targets = [...live, ...black].map((object) => object.at);
  for (const object of [...old, ...black]) {
    // Raw bytes look like references: nobody may touch them.
    for (let at = 8; at + 4 <= object.bytes; at += 4)
      h.set(object.at, at, heap + random.int(0, end - heap - 1));
    for (const slot of object.slots) {
      const outside = targets.length === 0 || random.chance(0.2);
      h.set(
        object.at,
        slot,
        outside ? random.pick([0, 0, 8, end, end + 64, 0xffff_fff0]) : random.pick(targets),
      );
    }
  }
  h.setCursor(cursor);
  return { old, live, black, blackLine, cursor };
}

export interface ModelPlan {
  readonly compacted: number;
  readonly used: number;
  /** New address by old address. */
  readonly moved: ReadonlyMap<number, number>;
  /** To-space from its first byte to `used`. */
  readonly image: Uint8Array;
}

/** Where everything goes, and what to-space then holds. */
export function compactNaively(h: ArenaHarness, model: ModelHeap): ModelPlan {
  const { heap } = h;
  const moved = new Map<number, number>();
  let compacted = 0;
  for (const object of model.live) {
    moved.set(object.at, heap + compacted);
    compacted += object.bytes;
  }
  const firstBlack = Math.ceil(compacted / PAGE_BYTES) * PAGE_BYTES;
  const slide = model.blackLine - heap - firstBlack;
  for (const object of model.black) moved.set(object.at, object.at - slide);
  const used = firstBlack + (model.cursor - model.blackLine);
  const image = new Uint8Array(used);
  const words = new Uint32Array(image.buffer);
  image.set(h.bytes.subarray(model.blackLine, model.cursor), firstBlack);
  for (const object of model.live)
    image.set(h.bytes.subarray(object.at, object.at + object.bytes), moved.get(object.at)! - heap);
  for (const object of [...model.live, ...model.black]) {
    const to = moved.get(object.at)! - heap;
    for (const slot of object.slots) {
      const ref = h.get(object.at, slot);
      words[(to + slot) / 4] = moved.get(ref) ?? ref;
    }
  }
  return { compacted, used, moved, image };
}
