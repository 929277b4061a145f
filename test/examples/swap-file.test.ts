import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type FileCalls,
  SLOT_BLOCK_BYTES,
  SlotAllocator,
  SwapFile,
  slotBlocks,
} from '#examples/swap/swap-file.js';
import { createLibcKernel } from '#src/uffd/index.js';
import { forSeeds } from '../support/random.ts';

const kernel = createLibcKernel();
const failure = (code: string, errno: number): Error =>
  Object.assign(new Error(code), { code, errno: -errno });
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff);

describe('the file', () => {
  let directory: string;
  let file: SwapFile;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tospace-swap-test-'));
    file = SwapFile.createTemporary(kernel, directory);
  });
  afterEach(() => {
    file.close();
    rmSync(directory, { recursive: true });
  });
  /** The same file through calls of which some are replaced. */
  const withCalls = (calls: Partial<FileCalls>): SwapFile => {
    const none = (): never => {
      throw new Error('not expected');
    };
    return SwapFile.adopt(kernel, file.fd, { write: none, read: none, sync: none, ...calls });
  };

  test('has no name', () => {
    expect(readdirSync(directory)).toEqual([]);
  });

  test('gives back what was written, at the place that was asked for', () => {
    const first = file.writeSlot(3, bytes(5000));
    const second = file.writeSlot(0, bytes(100).fill(7));
    file.sync();
    file.dropCache(0, 0);
    expect(file.readSlot(first)).toEqual(bytes(5000));
    expect(file.readSlot(second)).toEqual(bytes(100).fill(7));
    expect(first.block).toBe(3);
    expect(file.diskBytes()).toBeGreaterThan(0);
  });

  test('goes on after a write that did only a part', () => {
    const seen: number[][] = [];
    const write: FileCalls['write'] = (_fd, _bytes, from, length, position) => {
      seen.push([from, length, position]);
      return Math.min(length, 1000);
    };
    withCalls({ write }).writeSlot(1, bytes(2500));
    expect(seen).toEqual([
      [0, 2500, SLOT_BLOCK_BYTES],
      [1000, 1500, SLOT_BLOCK_BYTES + 1000],
      [2000, 500, SLOT_BLOCK_BYTES + 2000],
    ]);
  });

  test.each([
    ['ENOSPC', 28],
    ['EDQUOT', 122],
    ['EFBIG', 27],
  ])('says that storage ran out at %s, at once or after a part', (code, errno) => {
    for (const parts of [0, 1]) {
      let left = parts;
      const write = (): number => {
        if (left-- > 0) return 10;
        throw failure(code, errno);
      };
      expect(() => withCalls({ write }).writeSlot(0, bytes(100))).toThrow(
        expect.objectContaining({
          code: 'ERR_OUT_OF_MEMORY',
          syscall: 'write',
          errno,
          errnoName: code,
          hint: expect.stringContaining('memory keeps the data'),
        }),
      );
    }
  });

  test('takes a write without progress for a full disk, instead of trying for ever', () => {
    expect(() => withCalls({ write: () => 0 }).writeSlot(0, bytes(1))).toThrow(
      expect.objectContaining({ code: 'ERR_OUT_OF_MEMORY' }),
    );
  });

  test('passes on what fdatasync says', () => {
    const sync = (): never => {
      throw failure('EIO', 5);
    };
    expect(() => withCalls({ sync }).sync()).toThrow(
      expect.objectContaining({ code: 'ERR_SYSCALL', syscall: 'fdatasync', errnoName: 'EIO' }),
    );
  });

  test('finds a slot that is cut off, changed, or somebody else’s', () => {
    const slot = file.writeSlot(0, bytes(5000));
    const other = file.writeSlot(2, bytes(5000).reverse());
    const damage = (message: RegExp): unknown =>
      expect.objectContaining({ code: 'ERR_VERIFY', message: expect.stringMatching(message) });
    expect(() => file.readSlot({ ...slot, block: other.block })).toThrow(damage(/checksum/));
    const changed = bytes(5000);
    changed[4321]! ^= 1;
    file.writeSlot(0, changed);
    expect(() => file.readSlot(slot)).toThrow(damage(/checksum/));
    expect(() => file.readSlot({ ...slot, block: 3 })).toThrow(damage(/ends \d+ bytes too early/));
  });

  test('that the user names must be empty, and exist', () => {
    const path = join(directory, 'mine');
    expect(() => SwapFile.open(kernel, path)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
    writeFileSync(path, 'precious');
    expect(() => SwapFile.open(kernel, path)).toThrow(/not empty/);
    writeFileSync(path, '');
    const mine = SwapFile.open(kernel, path);
    expect(mine.readSlot(mine.writeSlot(0, bytes(10)))).toEqual(bytes(10));
    mine.close();
    rmSync(path);
  });

  test('a directory that is none is an option to correct', () => {
    expect(() => SwapFile.createTemporary(kernel, join(directory, 'nowhere'))).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
  });
});

describe('the allocator', () => {
  test('fills the first gap that fits, joins neighbours, and grows only when it must', () => {
    const slots = new SlotAllocator(100);
    const [a, b, c] = [slots.allocate(4), slots.allocate(2), slots.allocate(4)];
    expect([a, b, c]).toEqual([0, 4, 6]);
    slots.release(a!, 4);
    expect(slots.allocate(5)).toBe(10);
    slots.release(b!, 2);
    // The gaps 0..3 and 4..5 are one now.
    expect(slots.allocate(6)).toBe(0);
    expect([slots.usedBlocks, slots.endBlock]).toEqual([15, 15]);
  });

  test('lengthens the free run at the end instead of leaving it', () => {
    const slots = new SlotAllocator(10);
    slots.release(slots.allocate(3), 3);
    expect(slots.allocate(10)).toBe(0);
  });

  test('says -1 when the limit is reached, and works again when something is released', () => {
    const slots = new SlotAllocator(8);
    const first = slots.allocate(5);
    expect(slots.allocate(4)).toBe(-1);
    expect(slots.allocate(3)).toBe(5);
    slots.release(first, 5);
    expect(slots.allocate(4)).toBe(0);
  });

  test('a run that is released twice, or was never there, is a bug', () => {
    const slots = new SlotAllocator(8);
    slots.allocate(4);
    slots.release(1, 2);
    for (const [block, blocks] of [
      [1, 2],
      [0, 2],
      [2, 2],
      [3, 2],
    ] as const)
      expect(() => slots.release(block, blocks)).toThrow(expect.objectContaining({ code: 'ERR_INVARIANT' }));
  });

  test('no two slots overlap, and nothing is lost, whatever happens', () => {
    forSeeds(5, (random) => {
      const slots = new SlotAllocator(200);
      const owner = new Int8Array(200);
      const live: [number, number][] = [];
      for (let i = 0; i < 2000; i++) {
        if (random.chance(0.5) && live.length > 0) {
          const [block, blocks] = live.splice(random.int(0, live.length - 1), 1)[0]!;
          owner.fill(0, block, block + blocks);
          slots.release(block, blocks);
        } else {
          const blocks = random.int(1, 12);
          const block = slots.allocate(blocks);
          if (block < 0) continue;
          expect(owner.subarray(block, block + blocks).every((used) => used === 0)).toBe(true);
          owner.fill(1, block, block + blocks);
          live.push([block, blocks]);
        }
        expect(slots.usedBlocks).toBe(owner.reduce((sum, used) => sum + used, 0));
      }
      for (const [block, blocks] of live) slots.release(block, blocks);
      expect(slots.allocate(200)).toBe(0);
    });
  });

  test('counts blocks upwards', () => {
    expect([1, SLOT_BLOCK_BYTES, SLOT_BLOCK_BYTES + 1].map(slotBlocks)).toEqual([1, 1, 2]);
  });
});
