// Verification at phase boundaries. Each check names the invariant it found broken; the collector then stops the process, because a
// heap that fails a check may hand out wrong values at any moment.
//
//   after remark  (pause)   what is reachable is marked, and well-formed; the live bits are exactly the granules of the marked objects;
//                           weak fields with dead referents are on the trace's lists
//   after plan              chunk prefix sums and page sources, counted again; the next to-space holds no block, or nothing but poison
//   before flip   (pause)   black objects are well-formed and refer to live ones, and so do the weak fields of marked ones
//   after flip    (pause)   every root was rewritten exactly once
//   after close   (pause)   the graph again; the attic is unreachable, the heap one mapping; from-space is empty or poisoned, and
//                           nobody can reach it until the next flip
//
// A page is checked when it is built (page-checker.ts).

import { readFileSync } from 'node:fs';
import { alignUp } from '../../heap/geometry.ts';
import {
  CHUNK_BYTES,
  CTL_BLACK_LINE,
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_FRONT,
  EPHEMERON_KEY,
  EPHEMERON_VALUE,
  FREE_LINK,
  GRANULE_BYTES,
  KIND_EPHEMERON,
  KIND_GUARD,
  PAGE_BYTES,
  REFERENCE_LINK,
} from '../../heap/layout.ts';
import { check, PROT_NONE, PROT_READ, PROT_WRITE } from '../../uffd/index.ts';
import type { WorkerContext } from '../context.ts';
import { corrupt, HeapView, hex, type ObjectShape, slotsWithin, unmarked, weakBytes } from './view.ts';

/** What idle pages hold in a verifying heap: not a reference, not a header, and easy to recognise in a report. */
export const POISON = 0xdeadbeef;

export class Verifier {
  readonly #context: WorkerContext;
  readonly #view: HeapView;
  /** Expected values of the root slots after the flip. */
  readonly #expectedRoots = new Map<number, number>();
  /** Per memfd: bytes at its start that are poisoned, and whether its alias is closed. */
  readonly #poisoned: [number, number] = [0, 0];
  readonly #closed: [boolean, boolean] = [false, false];

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#view = new HeapView(context.tables);
  }

  get #front(): number {
    return this.#context.control[CTL_FRONT]!;
  }

  /** Traces the heap from its roots and calls `visit` for every object, with where it was found. Mutators must be stopped. */
  #trace(visit: (ref: number, whence: () => string) => void): void {
    const view = this.#view;
    const end = this.#context.control[CTL_CURSOR]!;
    const { managedBytes } = view.tables.geometry;
    const seen = new Uint32Array(Math.ceil(managedBytes / GRANULE_BYTES / 32));
    const stack: number[] = [];
    const isSeen = (ref: number): boolean => {
      const granule = (ref - view.base) / GRANULE_BYTES;
      return ((seen[granule >>> 5]! >>> (granule & 31)) & 1) === 1;
    };
    // Ephemerons by the keys that nothing has reached so far.
    const waiting = new Map<number, number[]>();
    const reach = (ref: number, whence: () => string): void => {
      // A free slot among the persistent handles holds a link, which is no reference (persistent.ts).
      if (ref === 0 || ref >= FREE_LINK) return;
      if (ref % GRANULE_BYTES !== 0 || ref < view.base || ref >= view.base + managedBytes)
        view.shape(ref, 0, end, whence);
      const granule = (ref - view.base) / GRANULE_BYTES;
      if (isSeen(ref)) return;
      seen[granule >>> 5]! |= 1 << (granule & 31);
      // Checked where it was found, so that a report can name the slot.
      view.shape(ref, 0, end, whence);
      visit(ref, whence);
      stack.push(ref);
    };
    for (const { at, name } of view.roots()) reach(view.words[at / 4]!, () => name);
    for (let ref = stack.pop(); ref !== undefined; ref = stack.pop()) {
      const object = ref;
      const shape = view.shape(object, 0, end, () => 'the mark stack');
      const weak = weakBytes(shape);
      for (const slot of slotsWithin(shape, 0, weak)) {
        const target = view.words[(object + slot) / 4]!;
        if (target !== 0) view.shape(target, 0, end, () => `the weak ${view.describeSlot(object, slot)}`);
      }
      for (const slot of slotsWithin(shape, weak, shape.bytes))
        reach(view.words[(object + slot) / 4]!, () => view.describeSlot(object, slot));
      const value = (ephemeron: number): void =>
        reach(
          view.words[(ephemeron + EPHEMERON_VALUE) / 4]!,
          () => `the value of ${view.describe(ephemeron)}`,
        );
      if (shape.kind === KIND_EPHEMERON) {
        const key = view.words[(object + EPHEMERON_KEY) / 4]!;
        if (key === 0) continue;
        if (isSeen(key)) value(object);
        else waiting.set(key, [...(waiting.get(key) ?? []), object]);
      }
      for (const ephemeron of waiting.get(object) ?? []) value(ephemeron);
      waiting.delete(object);
    }
  }

  afterRemark(): void {
    const view = this.#view;
    view.marksAreCurrent = true;
    this.#trace((ref, whence) => {
      if (!view.bit(view.marks, ref)) throw unmarked(view.describe(ref), whence());
    });
    const line = this.#context.control[CTL_BLACK_LINE]!;
    const expected = new Uint32Array(view.lives.length);
    let last = 0;
    this.#eachMarked((ref) => {
      if (ref >= line) throw corrupt(`the mark at ${hex(ref)} lies above the black line`);
      if (ref < last)
        throw corrupt(
          `${view.describe(ref)}, which is marked, begins inside the one before it, which ends at ${hex(last)}`,
        );
      const shape = view.shape(ref, 0, line, () => 'the mark bitmap');
      const { bytes } = shape;
      this.#checkListed(ref, shape);
      last = ref + bytes;
      for (let at = ref; at < last; at += GRANULE_BYTES) {
        const granule = (at - view.base) / GRANULE_BYTES;
        expected[granule >>> 5]! |= 1 << (granule & 31);
      }
    });
    for (let i = 0; i < expected.length; i++) {
      if (view.lives[i]! !== expected[i]!) {
        throw corrupt(
          `live bits ${hex(view.lives[i]!)} instead of ${hex(expected[i]!)} at ${hex(view.base + i * 32 * GRANULE_BYTES)}`,
        );
      }
    }
  }

  /** After the trace: a weak field with a dead object belongs to a record on one of the trace's lists. */
  #checkListed(ref: number, shape: ObjectShape): void {
    const view = this.#view;
    if (shape.kind === KIND_GUARD || weakBytes(shape) === 0) return;
    const target = view.words[(ref + shape.slots[0]!) / 4]!;
    const isDead = view.isDead(target);
    if (isDead && view.words[(ref + REFERENCE_LINK) / 4] === 0)
      throw corrupt(`the trace forgot that ${hex(ref)} refers weakly to ${hex(target)}, which is dead`);
    if (shape.kind !== KIND_EPHEMERON || target === 0 || isDead) return;
    const value = view.words[(ref + EPHEMERON_VALUE) / 4]!;
    if (value !== 0 && !view.bit(view.marks, value))
      throw corrupt(`the ephemeron at ${hex(ref)} has a marked key and an unmarked value ${hex(value)}`);
  }

  /** Before the flip: weak fields hold live objects, and the trace's lists are empty. */
  #checkWeak(line: number): void {
    const view = this.#view;
    this.#eachMarked((ref) => {
      const shape = view.shape(ref, 0, line, () => 'the mark bitmap');
      const weak = weakBytes(shape);
      if (weak === 0) return;
      for (const slot of slotsWithin(shape, 0, weak)) {
        const target = view.words[(ref + slot) / 4]!;
        if (view.isDead(target))
          throw corrupt(`the weak field +${slot} of ${hex(ref)} still names ${hex(target)}, which is dead`);
      }
      if (shape.kind !== KIND_GUARD && view.words[(ref + REFERENCE_LINK) / 4] !== 0)
        throw corrupt(`the object at ${hex(ref)} is still on a list of the trace`);
    });
  }

  /** Visits the marked objects of the heap. */
  #eachMarked(visit: (ref: number) => void): void {
    const { marks, base, lives } = this.#view;
    for (let i = 0; i < lives.length; i++) {
      for (let bits = marks[i]!; bits !== 0; bits &= bits - 1) {
        visit(base + (i * 32 + 31 - Math.clz32(bits & -bits)) * GRANULE_BYTES);
      }
    }
  }

  afterPlan(): void {
    const back = 1 - this.#front;
    // After a cycle that was abandoned the pages are not idle ones any more: it has allocated or emptied some.
    if (this.#closed[back]) {
      this.#openAlias(back);
      this.#checkIdle(back);
    }
    const view = this.#view;
    const { control, arena } = this.#context;
    const { geometry } = arena;
    const line = control[CTL_BLACK_LINE]!;
    let live = 0;
    for (let chunk = 0; chunk < (line - view.base) / CHUNK_BYTES; chunk++) {
      const planned = view.words[geometry.chunks / 4 + chunk]!;
      if (planned !== view.base + live)
        throw corrupt(`chunk ${chunk} goes to ${hex(planned)} instead of ${hex(view.base + live)}`);
      for (let granule = 0; granule < CHUNK_BYTES / GRANULE_BYTES; granule++) {
        if (view.bit(view.lives, view.base + chunk * CHUNK_BYTES + granule * GRANULE_BYTES))
          live += GRANULE_BYTES;
      }
    }
    if (live !== control[CTL_COMPACTED_BYTES])
      throw corrupt(`${live} bytes are live and ${control[CTL_COMPACTED_BYTES]} are planned`);
    let at = 0;
    this.#eachMarked((ref) => {
      const { bytes } = view.shape(ref, 0, line, () => 'the mark bitmap');
      if (view.forward(ref) !== view.base + at)
        throw corrupt(`${hex(ref)} is forwarded to ${hex(view.forward(ref))}`);
      for (let page = Math.ceil(at / PAGE_BYTES); page * PAGE_BYTES < at + bytes; page++) {
        const first = view.words[geometry.pageFirst / 4 + page]!;
        const source = view.words[geometry.pageSource / 4 + page]!;
        if (first !== ref || source !== ref + page * PAGE_BYTES - at) {
          throw corrupt(`page ${page} begins in ${hex(first)} at ${hex(source)} instead of in ${hex(ref)}`);
        }
      }
      at += bytes;
    });
  }

  beforeFlip(fromBytes: number): void {
    const view = this.#view;
    const { control, arena } = this.#context;
    const line = control[CTL_BLACK_LINE]!;
    const end = view.base + fromBytes;
    this.#checkWeak(line);
    // Black objects: in pages whose buffers name their start. The entries are in to-space numbering by now.
    const shift = (line - view.base - alignUp(control[CTL_COMPACTED_BYTES]!, PAGE_BYTES)) / PAGE_BYTES;
    for (let ref = line; ref < end; ) {
      const id = view.words[ref / 4]! & 0xffff;
      const page = (ref - view.base) / PAGE_BYTES;
      if (Number.isInteger(page)) {
        const first = view.words[arena.geometry.pageFirst / 4 + page - shift]!;
        if (first < line || first > ref)
          throw corrupt(`black page ${page} names ${hex(first)} as its first object`);
      }
      if (id === 0) {
        ref += GRANULE_BYTES;
        continue;
      }
      const object = ref;
      const shape = view.shape(ref, 0, end, () => 'an allocation buffer');
      for (const slot of slotsWithin(shape, 0, shape.bytes)) {
        this.#checkAlive(
          view.words[(object + slot) / 4]!,
          end,
          () => `${view.describeSlot(object, slot)}, a black object,`,
        );
      }
      ref += shape.bytes;
    }
    for (const object of view.nonMoving.objects()) {
      // Its thread was terminated before it wrote the header.
      if (view.words[object / 4] === 0) continue;
      const shape = view.shape(object, 0, end, () => 'the non-moving space');
      for (const slot of slotsWithin(shape, 0, shape.bytes)) {
        this.#checkAlive(
          view.words[(object + slot) / 4]!,
          end,
          () => `${view.describeSlot(object, slot)}, which is pinned,`,
        );
      }
    }
    this.#expectedRoots.clear();
    for (const { at } of view.roots()) this.#expectedRoots.set(at, view.forward(view.words[at / 4]!));
  }

  /** What a live object refers to is marked, or was allocated since remark. */
  #checkAlive(target: number, end: number, whence: () => string): void {
    if (target === 0 || target >= FREE_LINK) return;
    const view = this.#view;
    view.shape(target, 0, end, whence);
    if (view.isDead(target)) throw unmarked(view.describe(target), whence());
  }

  afterFlip(): void {
    this.#view.marksAreCurrent = false;
    let roots = 0;
    for (const { at, name } of this.#view.roots()) {
      roots++;
      const expected = this.#expectedRoots.get(at);
      const value = this.#view.words[at / 4]!;
      if (value !== expected)
        throw corrupt(`${name} was rewritten to ${hex(value)} instead of ${hex(expected ?? 0)}`);
    }
    if (roots !== this.#expectedRoots.size)
      throw corrupt(`${this.#expectedRoots.size} roots before the flip, ${roots} after it`);
  }

  /** @param idleBytes bytes at the start of the idle memfd that may hold old contents. */
  afterClose(idleBytes: number): void {
    this.#view.marksAreCurrent = false;
    this.#trace(() => {});
    const back = 1 - this.#front;
    this.#poison(back, idleBytes);
    this.#checkMappings(back);
  }

  /** Fills the idle memfd's pages with poison and closes its alias. */
  #poison(memfd: number, bytes: number): void {
    const { arena, kernels, kernel, options } = this.#context;
    const { geometry } = arena;
    const alias = geometry.aliases[memfd]!;
    const held = arena.memfds[memfd]!.allocatedBytes();
    if (options.retention === 'release' && held !== 0) {
      throw corrupt(`from-space still holds ${held} bytes after it was given back`);
    }
    if (held > alignUp(bytes, PAGE_BYTES))
      throw corrupt(`from-space holds ${held} bytes, of which only ${bytes} are accounted for`);
    if (bytes > 0) kernels.fillWords(alias, alias + bytes, POISON | 0);
    this.#poisoned[memfd] = bytes;
    check(
      kernel.mprotect(arena.real(alias), geometry.heapBytes, PROT_NONE),
      'mprotect',
      'closing the alias of idle pages',
    );
    this.#closed[memfd] = true;
  }

  #openAlias(memfd: number): void {
    const { arena, kernel } = this.#context;
    const alias = arena.real(arena.geometry.aliases[memfd]!);
    check(
      kernel.mprotect(alias, arena.geometry.heapBytes, PROT_READ | PROT_WRITE),
      'mprotect',
      'opening the alias of to-space',
    );
    this.#closed[memfd] = false;
  }

  /** The memfd that becomes to-space has not been touched since it was closed. */
  #checkIdle(memfd: number): void {
    const { arena } = this.#context;
    const held = arena.memfds[memfd]!.allocatedBytes();
    if (held === 0) return;
    const alias = arena.geometry.aliases[memfd]!;
    const bytes = this.#poisoned[memfd]!;
    for (let at = alias; at < alias + bytes; at += 4) {
      if (this.#view.words[at / 4]! !== POISON) {
        throw corrupt(
          `idle to-space was written at offset ${hex(at - alias)}: ${hex(this.#view.words[at / 4]!)}`,
        );
      }
    }
    if (bytes === 0) throw corrupt(`the next to-space holds ${held} bytes that nobody should have written`);
  }

  #checkMappings(back: number): void {
    const { arena } = this.#context;
    const { geometry } = arena;
    const maps = readFileSync('/proc/self/maps', 'latin1')
      .split('\n')
      .map((line) => /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line))
      .filter((match) => match !== null)
      .map(([, from, to, mode]) => ({
        from: Number.parseInt(from!, 16),
        to: Number.parseInt(to!, 16),
        mode: mode!,
      }));
    const over = (address: number, bytes: number): { from: number; to: number; mode: string }[] =>
      maps.filter((map) => map.from < address + bytes && map.to > address);
    // One mapping each, or the next move would have to touch every page alone. It may have grown together with its neighbours.
    for (const [name, address, bytes] of [
      ['the heap', arena.real(geometry.heap), geometry.windowBytes],
      ['the non-moving space', arena.real(geometry.nonMoving), geometry.nonMovingWindowBytes],
    ] as const) {
      const [window, ...rest] = over(address, bytes);
      if (rest.length > 0 || window === undefined || window.mode !== 'rw-s' || window.from > address) {
        throw corrupt(`the window of ${name} is mapped as ${JSON.stringify(over(address, bytes))}`);
      }
    }
    for (const [name, address, bytes] of [
      ['the attic', arena.attic.address, geometry.windowBytes],
      ['the attic of the non-moving space', arena.nonMovingAttic.address, geometry.nonMovingWindowBytes],
      ['the alias of idle pages', arena.real(geometry.aliases[back]!), geometry.heapBytes],
    ] as const) {
      const reachable = over(address, bytes).filter((map) => map.mode[0] !== '-' || map.mode[1] !== '-');
      if (reachable.length > 0)
        throw corrupt(`${name} is reachable between cycles: ${JSON.stringify(reachable)}`);
    }
  }
}
