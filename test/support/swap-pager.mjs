// The protocol of the swap example, step by step on one thread: faults are not taken but told to the server's half by hand, so every
// interleaving is exact. In a process of its own, because a step that is wrong would leave this thread in a fault for ever.
import {
  createLibcKernel,
  EBUSY,
  injectFaults,
  MADV_DONTNEED,
  UFFDIO_MOVE,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';
import { adoptArena, createArena } from '#examples/swap/arena.js';
import { createCodec } from '#examples/swap/codec.js';
import { EvictingPager, ServingPager } from '#examples/swap/pager.js';
import { RegionTable, STATE_NAMES } from '#examples/swap/region.js';
import { SLOT_BLOCK_BYTES, SlotAllocator, SwapFile } from '#examples/swap/swap-file.js';
import { tmpdir } from 'node:os';
import { ftruncateSync, writeSync } from 'node:fs';

const REGION_BYTES = 65536;
const REGIONS = 4;
const MINOR = 4;

const [scenario, kind, how] = process.argv.slice(2);
const kernel = injectFaults(
  createLibcKernel(),
  how === 'copy' ? [{ call: 'ioctl', request: UFFDIO_MOVE, nth: 1, every: true, errno: EBUSY }] : [],
);
const { description } = createArena(kernel, kind, REGIONS * REGION_BYTES, REGION_BYTES);
const arena = adoptArena(kernel, description);
const memory = new Uint8Array(viewOf(description.home, description.bytes));
for (let i = 0; i < memory.length; i++) memory[i] = (i * 7 + (i >> 8) * 13) & 0xff;
const original = memory.slice();

const uffd = Userfaultfd.open(kernel);
uffd.register(description.home, description.bytes, arena.registerMode);
const table = RegionTable.create(REGIONS);
const file = SwapFile.createTemporary(kernel, tmpdir());
const parts = { kernel, uffd, table, arenas: [arena], file, codec: createCodec('brotli') };
const slots = new SlotAllocator(1024);
const evictor = new EvictingPager(parts, slots);
const server = new ServingPager(parts);

const R = 2;
const address = description.home + R * REGION_BYTES + 5 * 4096;
const state = () => STATE_NAMES[table.state(R)];
/** A mutator's touch, without the mutator. */
const touch = (flags = 0) => server.fault(address, flags);
/** Only where every page is mapped: anything else would block for ever, and the parent would see that. */
const intact = () => memory.every((byte, i) => byte === original[i]);
/** Pages that are in memory: of home and shadow together. */
const thrown = (run) => {
  try {
    run();
    return undefined;
  } catch (e) {
    return { code: e.code, message: e.message };
  }
};

const scenarios = {
  /** Out and in again, twice: the slot is used again. */
  'round-trip': () => {
    const answers = [];
    for (let i = 0; i < 2; i++) {
      evictor.moveAway(R);
      evictor.writeOut(R);
      file.sync();
      answers.push(evictor.commit(R), state());
      if (kind === 'shmem') answers.push(kernel.fileBlocks(description.fd));
      answers.push(touch(), state(), touch());
      memory[R * REGION_BYTES]++;
      original[R * REGION_BYTES]++;
    }
    const usedBefore = slots.usedBlocks;
    evictor.reclaim(R);
    return { answers, intact: intact(), usedBefore, used: slots.usedBlocks, end: slots.endBlock };
  },
  /** A touch between any two steps brings the region home, and what the mutator writes then survives the rest of the eviction. */
  'touched-before-write': () => {
    evictor.moveAway(R);
    const answer = touch();
    memory[R * REGION_BYTES + 99] = original[R * REGION_BYTES + 99] = 42;
    return { answer, written: evictor.writeOut(R), state: state(), intact: intact(), used: slots.usedBlocks };
  },
  'touched-before-commit': () => {
    evictor.moveAway(R);
    const written = evictor.writeOut(R);
    file.sync();
    const answer = touch();
    memory[R * REGION_BYTES + 99] = original[R * REGION_BYTES + 99] = 42;
    const committed = evictor.commit(R);
    return { written, answer, committed, state: state(), intact: intact(), used: slots.usedBlocks };
  },
  'brought-back': () => {
    evictor.moveAway(R);
    evictor.bringBack(R);
    const first = [state(), intact()];
    evictor.moveAway(R);
    evictor.writeOut(R);
    evictor.bringBack(R);
    return { first, state: state(), intact: intact(), used: slots.usedBlocks };
  },
  /** A message that was read long ago says nothing about now. */
  stale: () => {
    const resident = [touch(), touch(MINOR), state()];
    evictor.moveAway(R);
    return { resident, answer: touch(MINOR), state: state(), intact: intact() };
  },
  /** The kernel may drop page tables of shmem whenever it likes. */
  'page-tables-dropped': () => {
    kernel.madvise(description.home + R * REGION_BYTES, REGION_BYTES, MADV_DONTNEED);
    const pages = [];
    for (let page = 0; page < REGION_BYTES / 4096; page++)
      pages.push(server.fault(description.home + R * REGION_BYTES + page * 4096, MINOR));
    return { answers: [...new Set(pages)], state: state(), intact: intact() };
  },
  damaged: () => {
    evictor.moveAway(R);
    evictor.writeOut(R);
    file.sync();
    evictor.commit(R);
    const { block } = table.slot(R);
    if (how === 'truncated') ftruncateSync(file.fd, block * SLOT_BLOCK_BYTES + 100);
    else writeSync(file.fd, Buffer.from([1, 2, 3]), 0, 3, block * SLOT_BLOCK_BYTES + 1000);
    return { error: thrown(() => touch()), state: state() };
  },
  'move-fails': () => {
    const failing = { ...kernel, mremap: () => -12 };
    const stuck = new EvictingPager({ ...parts, arenas: [adoptArena(failing, description)] }, slots);
    return { error: thrown(() => stuck.moveAway(R)), state: state(), intact: intact() };
  },
  'file-full': () => {
    const small = new EvictingPager(parts, new SlotAllocator(0));
    small.moveAway(R);
    const error = thrown(() => small.writeOut(R));
    const between = state();
    small.bringBack(R);
    return { error, between, state: state(), intact: intact() };
  },
};

process.stdout.write(`${JSON.stringify(scenarios[scenario]())}\n`);
process.exit(0);
