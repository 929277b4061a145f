// The arena: the shared memory, the two memfds behind the heap, and the mappings that overlay windows of the one with the other.
//
// V8 only reserves the memory's address range; overlaying parts of it by mmap(MAP_FIXED) works because nothing of V8 maps there
// again (the memory never grows: initial = maximum). This file and gc/flip.ts are the only places that change mappings under it.

import { invariant, TospaceError } from '../errors.ts';
import {
  addressOf,
  check,
  type Kernel,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  Memfd,
  PROT_NONE,
  Reservation,
} from '../uffd/index.ts';
import {
  GIB,
  type Geometry,
  type GeometryOptions,
  layOut,
  MEMORY_BYTES,
  MIB,
  STEERED_RESIDUE,
} from './geometry.ts';
import {
  CTL_ALLOCATED,
  CTL_CARD_BUFFER,
  CTL_CARDS,
  CTL_CARD_GROUPS,
  CTL_TAKEN_GROUPS,
  CTL_CHUNKS,
  CTL_CURSOR,
  CTL_DIRTY_END,
  CTL_FRESH,
  CTL_FROM_ALIAS,
  CTL_HEAP_BASE,
  CTL_HEAP_BYTES,
  CTL_LIMIT,
  CTL_LIVES,
  CTL_MANAGED_BYTES,
  CTL_MARK_STACK,
  CTL_MARK_STACK_END,
  CTL_MARKS,
  CTL_NON_MOVING,
  CTL_NON_MOVING_ALIAS,
  CTL_NON_MOVING_BYTES,
  CTL_NON_MOVING_HIDDEN,
  CTL_NON_MOVING_RAW,
  CTL_NON_MOVING_TOP,
  CTL_PAGE_FIRST,
  CTL_PAGE_SOURCE,
  CTL_PAGE_WORDS,
  CTL_PERSISTENT,
  CTL_PERSISTENT_SLOTS,
  CTL_SPANS,
  CTL_REFERENCE_TABLE,
  CTL_SOFT_LIMIT,
  CTL_TO_ALIAS,
  CTL_TRIGGER,
  CTL_TYPE_COUNT,
  CTL_TYPE_MAP_NEXT,
  CTL_TYPE_MAPS,
  CTL_TYPE_MAPS_END,
  CTL_TYPES,
  HEADER_BYTES,
  PAGE_BYTES,
  SHADOW_SLOTS,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  TYPE_PERSISTENT,
} from './layout.ts';
import type { WasmMemory } from './webassembly.ts';
import { NonMovingSpace } from './non-moving.ts';
import { Tables } from './tables.ts';
import { TypeRegistry } from './types.ts';

/** Names of the files in /proc/self/maps: the two of the heap, in turns, and that of the non-moving space. */
const MEMFD_NAMES = ['tospace-a', 'tospace-b', 'tospace-n'] as const;

/** Memories made to get one that begins where the address map has most room. One or two are enough as a rule. */
const STEERING_ATTEMPTS = 8;

/** Address space that a heap takes beside its memory, at most: attics while they are trimmed, and the isolates of its workers. */
const ROOM_BESIDE_MEMORY = 5 * GIB;

/** Bytes of each of the two places on the stage where flips are rehearsed. */
export const STAGE_BYTES: number = 2 * MIB;

/** What another thread of the process needs to use the same arena. Can be posted to it. */
export interface ArenaHandle {
  readonly memory: WasmMemory;
  readonly geometry: Geometry;
  /** File descriptors of the two memfds of the heap, and of that of the non-moving space. */
  readonly memfds: readonly [number, number];
  readonly nonMovingMemfd: number;
  /** Where the flip moves the old page tables: a reservation outside the memory. */
  readonly attic: number;
  /** The same for the non-moving space. */
  readonly nonMovingAttic: number;
  /** Where flips are rehearsed: a small reservation outside the memory. */
  readonly stage: number;
}

export class Arena {
  readonly tables: Tables;
  readonly geometry: Geometry;
  readonly memfds: readonly [Memfd, Memfd];
  readonly nonMovingMemfd: Memfd;
  readonly attic: Reservation;
  readonly nonMovingAttic: Reservation;
  readonly stage: Reservation;
  readonly #kernel: Kernel;
  #open = true;

  private constructor(
    kernel: Kernel,
    tables: Tables,
    memfds: readonly [Memfd, Memfd, Memfd],
    reservations: readonly [attic: Reservation, nonMovingAttic: Reservation, stage: Reservation],
  ) {
    this.#kernel = kernel;
    this.tables = tables;
    this.geometry = tables.geometry;
    this.memfds = [memfds[0], memfds[1]];
    this.nonMovingMemfd = memfds[2];
    [this.attic, this.nonMovingAttic, this.stage] = reservations;
  }

  /**
   * Reserves and maps a heap.
   * @throws TospaceError ERR_UNSUPPORTED when 4 GiB of address space are not to be had, ERR_SYSCALL when a mapping fails; nothing is
   * left behind then.
   */
  static create(kernel: Kernel, options: GeometryOptions): Arena {
    const memory = createMemory(kernel);
    const geometry = layOut(addressOf(new Uint8Array(memory.buffer)), options);
    const undo: (() => void)[] = [];
    try {
      const sizes = [geometry.windowBytes, geometry.windowBytes, geometry.nonMovingWindowBytes];
      const files = MEMFD_NAMES.map((name, i) => {
        const memfd = Memfd.create(kernel, name, sizes[i]!);
        undo.push(() => memfd.close());
        return memfd;
      }) as unknown as readonly [Memfd, Memfd, Memfd];
      // Whatever the windows' own alignment is: whole GiB inside them then move by one entry each.
      const reserve = (window: number, bytes: number): Reservation => {
        const place = Reservation.reserve(kernel, bytes, {
          alignBytes: GIB,
          congruentTo: geometry.memoryAddress + window,
        });
        undo.push(() => place.close());
        return place;
      };
      const attic = reserve(geometry.heap, geometry.windowBytes);
      const nonMovingAttic = reserve(geometry.nonMoving, geometry.nonMovingWindowBytes);
      const stage = Reservation.reserve(kernel, 2 * STAGE_BYTES, { alignBytes: STAGE_BYTES });
      undo.push(() => stage.close());
      const tables = new Tables(memory, geometry);
      const arena = new Arena(kernel, tables, files, [attic, nonMovingAttic, stage]);
      undo.push(() => arena.#unmapWindows());
      files[0].map(arena.real(geometry.heap), geometry.windowBytes);
      files[0].map(arena.real(geometry.aliases[0]), geometry.heapBytes);
      files[1].map(arena.real(geometry.aliases[1]), geometry.heapBytes);
      files[2].map(arena.real(geometry.nonMoving), geometry.nonMovingWindowBytes);
      files[2].map(arena.real(geometry.nonMovingAlias), geometry.nonMovingBytes);
      arena.#writeControl();
      createPersistentArray(tables);
      return arena;
    } catch (error) {
      // Every step, whatever the others do; what is thrown is why the heap could not be made.
      for (const step of undo.reverse()) {
        try {
          step();
        } catch {}
      }
      throw error;
    }
  }

  /** The arena as another thread sees it: the same files and mappings, not owned. */
  static adopt(kernel: Kernel, handle: ArenaHandle): Arena {
    const { geometry } = handle;
    const { windowBytes, nonMovingWindowBytes } = geometry;
    return new Arena(
      kernel,
      new Tables(handle.memory, geometry),
      [
        Memfd.adopt(kernel, MEMFD_NAMES[0], handle.memfds[0], windowBytes),
        Memfd.adopt(kernel, MEMFD_NAMES[1], handle.memfds[1], windowBytes),
        Memfd.adopt(kernel, MEMFD_NAMES[2], handle.nonMovingMemfd, nonMovingWindowBytes),
      ],
      [
        Reservation.adopt(kernel, handle.attic, windowBytes),
        Reservation.adopt(kernel, handle.nonMovingAttic, nonMovingWindowBytes),
        Reservation.adopt(kernel, handle.stage, 2 * STAGE_BYTES),
      ],
    );
  }

  get handle(): ArenaHandle {
    return {
      memory: this.tables.memory,
      geometry: this.geometry,
      memfds: [this.memfds[0].fd, this.memfds[1].fd],
      nonMovingMemfd: this.nonMovingMemfd.fd,
      attic: this.attic.address,
      nonMovingAttic: this.nonMovingAttic.address,
      stage: this.stage.address,
    };
  }

  /** Real address of an offset in the shared memory. */
  real(offset: number): number {
    return this.geometry.memoryAddress + offset;
  }

  /** Bytes of memory that the memfds hold now. */
  sharedBytes(): number {
    return (
      this.memfds[0].allocatedBytes() + this.memfds[1].allocatedBytes() + this.nonMovingMemfd.allocatedBytes()
    );
  }

  /** Gives everything back. The windows become inaccessible: a stray access ends the process instead of reading zeroes. */
  close(): void {
    if (!this.#open) return;
    try {
      this.#unmapWindows();
      // Only now: where a window could not be closed, close() may be called again.
      this.#open = false;
    } finally {
      this.abandon();
    }
  }

  /**
   * Gives back all but the windows, for a thread that exits: others may be in the middle of an access, and find its end good. What the windows
   * show goes with the memory. Nothing flips any more. Idempotent, never throws.
   */
  abandon(): void {
    this.attic.close();
    this.nonMovingAttic.close();
    this.stage.close();
    for (const memfd of [...this.memfds, this.nonMovingMemfd]) memfd.close();
  }

  /** Windows are replaced, never unmapped: the address range belongs to V8, which unmaps it with the memory. */
  #unmapWindows(): void {
    const { geometry } = this;
    const windows: readonly (readonly [number, number])[] = [
      [geometry.heap, geometry.windowBytes],
      [geometry.aliases[0], geometry.heapBytes],
      [geometry.aliases[1], geometry.heapBytes],
      [geometry.nonMoving, geometry.nonMovingWindowBytes],
      [geometry.nonMovingAlias, geometry.nonMovingBytes],
    ];
    const results = windows.map(([window, bytes]) =>
      this.#kernel.mmap(
        this.real(window),
        bytes,
        PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
        -1,
        0,
      ),
    );
    for (const result of results) check(result, 'mmap', 'closing a window of the heap');
  }

  #writeControl(): void {
    const { control } = this.tables;
    const g = this.geometry;
    const end = g.heap + g.heapBytes;
    const words: readonly (readonly [number, number])[] = [
      [CTL_HEAP_BASE, g.heap],
      [CTL_HEAP_BYTES, g.heapBytes],
      [CTL_MARKS, g.marks],
      [CTL_LIVES, g.lives],
      [CTL_CHUNKS, g.chunks],
      [CTL_CARDS, g.cards],
      [CTL_CARD_GROUPS, g.cardGroups],
      [CTL_TAKEN_GROUPS, g.takenGroups],
      [CTL_PAGE_WORDS, g.pageWords],
      [CTL_PAGE_FIRST, g.pageFirst],
      [CTL_PAGE_SOURCE, g.pageSource],
      [CTL_TYPES, g.types],
      [CTL_CARD_BUFFER, g.cardBuffer],
      [CTL_TYPE_MAPS, g.typeMaps],
      [CTL_TYPE_MAPS_END, g.typeMaps + g.typeMapBytes],
      [CTL_TYPE_MAP_NEXT, g.typeMaps],
      [CTL_TYPE_COUNT, 1],
      [CTL_MARK_STACK, g.markStack],
      [CTL_MARK_STACK_END, g.markStack + g.markStackBytes],
      [CTL_PERSISTENT_SLOTS, g.persistentSlots],
      [CTL_MANAGED_BYTES, g.managedBytes],
      [CTL_NON_MOVING, g.nonMoving],
      [CTL_NON_MOVING_BYTES, g.nonMovingBytes],
      [CTL_NON_MOVING_ALIAS, g.nonMovingAlias],
      [CTL_NON_MOVING_TOP, g.nonMoving],
      [CTL_NON_MOVING_RAW, g.nonMoving + g.nonMovingBytes],
      [CTL_NON_MOVING_HIDDEN, g.nonMoving],
      [CTL_SPANS, g.spans],
      [CTL_ALLOCATED, g.allocated],
      [CTL_FRESH, g.fresh],
      [CTL_REFERENCE_TABLE, g.references],
      [CTL_CURSOR, g.heap],
      [CTL_LIMIT, end],
      [CTL_TRIGGER, end],
      [CTL_SOFT_LIMIT, end],
      [CTL_DIRTY_END, g.heap],
      [CTL_FROM_ALIAS, g.aliases[0]],
      [CTL_TO_ALIAS, g.aliases[1]],
    ];
    for (const [index, word] of words) control[index] = word;
    // Constant from here on: the collector may read both words of a record while its thread is attaching.
    for (const [i, thread] of this.tables.threads.entries()) {
      thread[T_SHADOW_BASE] = g.shadowStacks + i * SHADOW_SLOTS * 4;
      thread[T_SHADOW_TOP] = thread[T_SHADOW_BASE];
    }
  }
}

/** The persistent handles are the elements of one pinned array. Its length is raised as they come into use. */
function createPersistentArray(tables: Tables): void {
  const type = new TypeRegistry(tables).refArray('persistent handles');
  invariant(type.id === TYPE_PERSISTENT, 'the array of persistent handles has the first type');
  const { persistentSlots } = tables.geometry;
  // Pages of its own, however small it is: as long as nothing else is in use, a flip has nothing to hide here.
  const bytes = Math.max(HEADER_BYTES + persistentSlots * 4, PAGE_BYTES);
  const ref = new NonMovingSpace(tables).take(bytes, false);
  if (ref === 0) {
    throw new TospaceError(
      'ERR_OPTION',
      `${persistentSlots} persistent handles do not fit into a non-moving space of ${tables.geometry.nonMovingBytes} bytes`,
      { hint: 'Raise nonMoving, or lower persistentSlots.' },
    );
  }
  tables.words(ref, 2).set([type.id, 0]);
  tables.control[CTL_PERSISTENT] = ref;
}

/**
 * A memory that begins where the address map has most room. V8 puts memories one below the other, so that a mapping of the right length in
 * between moves the next one to any place modulo 1 GiB. The mapping is longer by whole GiB, more at every attempt: a short one would be put
 * into some gap between libraries. Where it does not come about, or address space is too short for a second memory, the last one is taken:
 * every place will do. The mapping leaves as much for the rest of the heap when it goes, although the memories before the last one stay until
 * V8 collects them.
 */
function createMemory(kernel: Kernel): WasmMemory {
  const fillers: Reservation[] = [];
  try {
    let memory = reserveMemory();
    for (let i = 0; i < STEERING_ATTEMPTS - 1; i++) {
      const off = (addressOf(new Uint8Array(memory.buffer)) - STEERED_RESIDUE) % GIB;
      if (off === 0) break;
      try {
        fillers.push(Reservation.reserve(kernel, off + ROOM_BESIDE_MEMORY + i * GIB));
        memory = reserveMemory();
      } catch {
        break;
      }
    }
    return memory;
  } finally {
    for (const filler of fillers) filler.close();
  }
}

function reserveMemory(): WasmMemory {
  const pages = MEMORY_BYTES / 65536;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new TospaceError('ERR_UNSUPPORTED', 'a shared WebAssembly memory of 4 GiB could not be reserved', {
      hint: 'Raise the address-space limit (ulimit -v unlimited), or close heaps that are no longer used.',
      cause,
    });
  }
}
