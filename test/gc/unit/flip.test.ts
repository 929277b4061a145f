import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WorkerContext } from '#src/gc/context.js';
import { clearAttics, flipMappings } from '#src/gc/flip.js';
import { Arena } from '#src/heap/arena.js';
import { CTL_FRONT } from '#src/heap/layout.js';
import {
  createLibcKernel,
  ENOMEM,
  type InjectionPlan,
  injectFaults,
  UFFDIO_REGISTER,
  Userfaultfd,
} from '#src/uffd/index.js';
import { ArenaHarness } from '../../support/arena-harness.ts';
import { openDescriptors } from '../../support/resources.ts';

const USED = 64 * 4096;
const HIDDEN = { heapBytes: USED, nonMovingBytes: 0 };
let h: ArenaHarness;

/** What is mapped in the windows and in the attic: `start-end permissions name` relative to the window, as in /proc/self/maps. */
function mappings(): string[] {
  const { arena } = h;
  const { geometry } = arena;
  const { windowBytes, heapBytes } = geometry;
  const windows: [string, number, number][] = [
    ['heap', arena.real(geometry.heap), windowBytes],
    ['alias A', arena.real(geometry.aliases[0]), heapBytes],
    ['alias B', arena.real(geometry.aliases[1]), heapBytes],
    ['attic', arena.attic.address, windowBytes],
  ];
  const lines = readFileSync('/proc/self/maps', 'utf8').trim().split('\n');
  return windows.flatMap(([name, at, bytes]) =>
    lines.flatMap((line) => {
      const [range, permissions, offset, , , ...path] = line.split(/ +/);
      const [from, to] = range!.split('-').map((hex) => Number.parseInt(hex, 16));
      const low = Math.max(from!, at);
      const high = Math.min(to!, at + bytes);
      return low < high
        ? [`${name} ${low - at}-${high - at} ${permissions} ${offset} ${path.join(' ')}`]
        : [];
    }),
  );
}

/** A context whose own calls of the kernel, and no others, follow the plan. */
function contextWith(plan: InjectionPlan, uffd?: Userfaultfd): WorkerContext {
  const kernel = injectFaults(createLibcKernel(), plan);
  const arena = Arena.adopt(kernel, h.arena.handle);
  return h.context({
    kernel,
    arena,
    uffd: uffd && Userfaultfd.adopt(kernel, uffd.fd, uffd.kind),
  });
}

/** A userfaultfd that notes what is registered. Nothing can block on it. */
function fakeUffd(): { registered: number[][]; register(...args: number[]): void } {
  const registered: number[][] = [];
  return { registered, register: (...args) => void registered.push(args) };
}

const fill = (window: number, seed: number): void => {
  for (let page = 0; page < USED / 4096; page++)
    h.words[(window + page * 4096) / 4 + (page % 1024)] = seed + page;
};
const holds = (window: number, seed: number): boolean => {
  for (let page = 0; page < USED / 4096; page++) {
    if (h.words[(window + page * 4096) / 4 + (page % 1024)] !== seed + page) return false;
  }
  return true;
};

let descriptors = 0;
beforeEach(() => {
  descriptors = openDescriptors();
  h = new ArenaHarness();
  fill(h.heap, 1000);
  fill(h.tables.geometry.aliases[1], 5000);
});
afterEach(() => {
  h.close();
  expect(openDescriptors()).toBe(descriptors);
});

test('a flip puts the other memfd under the heap, the old page tables into the attic, and registers what is used', () => {
  const before = mappings();
  expect(before).toEqual([
    expect.stringMatching(/^heap 0-\d+ rw-s 0+ \/memfd:tospace-a/),
    expect.stringMatching(/^alias A 0-\d+ rw-s 0+ \/memfd:tospace-a/),
    expect.stringMatching(/^alias B 0-\d+ rw-s 0+ \/memfd:tospace-b/),
    expect.stringMatching(/^attic 0-\d+ ---p/),
  ]);
  const uffd = fakeUffd();
  const times = flipMappings(h.context({ uffd }), HIDDEN, true);
  expect(Object.values(times).every((us) => us >= 0 && us < 1e6)).toBe(true);
  expect(uffd.registered).toEqual([[h.arena.real(h.heap), USED, 5]]);
  expect(mappings()).toEqual([
    expect.stringMatching(/^heap 0-\d+ rw-s 0+ \/memfd:tospace-b/),
    expect.stringMatching(/^alias A .*tospace-a/),
    expect.stringMatching(/^alias B .*tospace-b/),
    expect.stringMatching(/^attic 0-\d+ rw-s 0+ \/memfd:tospace-a/),
  ]);
  expect([holds(h.heap, 5000), holds(h.tables.geometry.aliases[0], 1000)]).toEqual([true, true]);
  // The attic is an empty reservation again before the next flip, and no page of the file is lost.
  clearAttics(h.context(), HIDDEN);
  expect(mappings()[3]).toBe(before[3]);
  expect(holds(h.tables.geometry.aliases[0], 1000)).toBe(true);
  // And back again.
  h.control[CTL_FRONT] = 1;
  flipMappings(h.context({ uffd }), HIDDEN, true);
  clearAttics(h.context(), HIDDEN);
  expect(mappings()).toEqual(before);
  expect(holds(h.heap, 1000)).toBe(true);
});

test.each([
  ['nothing is used', 0, true],
  ['the collector needs none', USED, false],
])('no registration where %s', (_, used, register) => {
  const uffd = fakeUffd();
  flipMappings(h.context({ uffd }), { heapBytes: used, nonMovingBytes: 0 }, register);
  expect(uffd.registered).toEqual([]);
});

test('the attic is cleared in steps that cover all that was used', () => {
  const calls: number[][] = [];
  const kernel = {
    ...h.kernel,
    madvise: (at: number, bytes: number) => calls.push([at - h.arena.attic.address, bytes]) * 0,
  };
  const used = 20 * 1024 * 1024 + 4096;
  clearAttics(h.context({ kernel, arena: h.arena }), { heapBytes: used, nonMovingBytes: 0 });
  let end = 0;
  for (const [at, bytes] of calls) {
    expect(at).toBe(end);
    end += bytes!;
  }
  expect(end).toBe(used);
});

describe('a flip that fails leaves everything as it was', () => {
  const failing: [string, InjectionPlan][] = [
    ['mremap', [{ call: 'mremap', nth: 1, errno: ENOMEM }]],
    ['mmap of the other memfd', [{ call: 'mmap', nth: 1, errno: ENOMEM }]],
    ['UFFDIO_REGISTER', [{ call: 'ioctl', request: UFFDIO_REGISTER, nth: 1, errno: ENOMEM }]],
    [
      'mmap, and the move back',
      [
        { call: 'mmap', nth: 1, errno: ENOMEM },
        { call: 'mremap', nth: 2, errno: ENOMEM },
      ],
    ],
    [
      'UFFDIO_REGISTER, and the move back',
      [
        { call: 'ioctl', request: UFFDIO_REGISTER, nth: 1, errno: ENOMEM },
        { call: 'mremap', nth: 2, errno: ENOMEM },
      ],
    ],
  ];
  test.each(failing)('%s', (_, plan) => {
    const uffd = Userfaultfd.open(createLibcKernel(), { kind: 'user-mode-only' });
    try {
      const before = mappings();
      let error: unknown;
      try {
        flipMappings(contextWith(plan, uffd), HIDDEN, true);
      } catch (e) {
        error = e;
      }
      expect(error).toMatchObject({
        code: 'ERR_OUT_OF_MEMORY',
        errnoName: 'ENOMEM',
        hint: expect.stringMatching(/./),
      });
      // An abandoned cycle is told from a defect by the system call.
      expect((error as { syscall?: string }).syscall).toBeDefined();
      expect(mappings()).toEqual(before);
      expect([holds(h.heap, 1000), holds(h.tables.geometry.aliases[1], 5000)]).toEqual([true, true]);
      // The heap still is memfd A: what is written shows through its alias.
      fill(h.heap, 7000);
      expect(holds(h.tables.geometry.aliases[0], 7000)).toBe(true);
      expect(h.control[CTL_FRONT]).toBe(0);
      // And the next flip succeeds.
      flipMappings(h.context({ uffd: fakeUffd() }), HIDDEN, true);
      expect(holds(h.heap, 5000)).toBe(true);
    } finally {
      uffd.close();
    }
  });

  test('one that cannot be undone is no error of a system call: the cycle must not be abandoned as if nothing had happened', () => {
    const plan: InjectionPlan = [
      { call: 'mmap', nth: 1, every: true, errno: ENOMEM },
      { call: 'mremap', nth: 2, errno: ENOMEM },
    ];
    let error: unknown;
    try {
      flipMappings(contextWith(plan), HIDDEN, true);
    } catch (e) {
      error = e;
    }
    expect(error).toMatchObject({ code: 'ERR_STATE', syscall: undefined, cause: { errnoName: 'ENOMEM' } });
  });
});
