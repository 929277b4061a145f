// The decisions of the heap's own management, as functions: edges, and what must hold for all inputs.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { externalAllowance, externalPressure, startAt, type StartInput } from '#src/gc/policy/director.js';
import {
  expectedDuration,
  expectedRate,
  NO_DURATION,
  NO_RATE,
  observeDuration,
  observeRate,
} from '#src/gc/policy/estimates.js';
import { PACE_MAX_US, paceUs, type Progress, untilRoomMs } from '#src/gc/policy/pace.js';
import { bytesToKeep, MIN_FREE_BYTES, softLimit, type SizingInput } from '#src/gc/policy/sizing.js';
import { GIB, KIB, MIB } from '#src/heap/geometry.js';
import { PAGE_BYTES } from '#src/heap/layout.js';

const bytes = fc.integer({ min: 0, max: GIB });
const rate = fc.double({ min: 0, max: 5e6, noNaN: true });
const ms = fc.double({ min: 0, max: 5000, noNaN: true });

describe('the soft limit', () => {
  const idle: SizingInput = {
    capacityBytes: 512 * MIB,
    minBytes: 32 * MIB,
    targetUtilisation: 0.5,
    liveBytes: 0,
    usedBytes: 0,
    ratePerMs: 0,
    workMs: 0,
  };

  test('of an empty heap is the minimum', () => expect(softLimit(idle)).toBe(32 * MIB));

  test('leaves live data their part', () =>
    expect(softLimit({ ...idle, liveBytes: 100 * MIB, usedBytes: 100 * MIB })).toBe(200 * MIB));

  test('counts what was allocated during the cycle on top', () =>
    expect(softLimit({ ...idle, liveBytes: 100 * MIB, usedBytes: 120 * MIB })).toBe(220 * MIB));

  test('leaves some room above little live data', () =>
    expect(softLimit({ ...idle, minBytes: 256 * KIB, liveBytes: MIB, usedBytes: MIB })).toBe(
      MIB + MIN_FREE_BYTES,
    ));

  test('grows for a program that would otherwise be collected most of the time', () => {
    // 1 MiB a millisecond, 5 ms a cycle: 100 MiB between the beginnings of two, for a twentieth of the time.
    const busy = { ...idle, liveBytes: 4 * MIB, usedBytes: 4 * MIB, ratePerMs: MIB, workMs: 5 };
    expect(softLimit(busy)).toBe(104 * MIB);
  });

  test('is the capacity where more is wished for', () =>
    expect(softLimit({ ...idle, liveBytes: 500 * MIB, usedBytes: 510 * MIB })).toBe(512 * MIB));

  const inputs = fc.record({
    capacityBytes: fc.integer({ min: 64, max: 2 ** 18 }).map((pages) => pages * PAGE_BYTES),
    minBytes: bytes,
    targetUtilisation: fc.double({ min: 0.1, max: 0.95, noNaN: true }),
    liveBytes: bytes,
    usedBytes: bytes,
    ratePerMs: rate,
    workMs: ms,
  });

  test('is whole pages, within the capacity, and above what is in use', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const limit = softLimit(input);
        expect(limit % PAGE_BYTES).toBe(0);
        expect(limit).toBeLessThanOrEqual(input.capacityBytes);
        expect(limit).toBeGreaterThanOrEqual(Math.min(input.capacityBytes, input.usedBytes, input.minBytes));
        if (input.usedBytes <= input.capacityBytes) expect(limit).toBeGreaterThanOrEqual(input.usedBytes);
      }),
    );
  });

  test.each(['capacityBytes', 'minBytes', 'liveBytes', 'usedBytes', 'ratePerMs', 'workMs'] as const)(
    'does not shrink with more %s',
    (key) => {
      fc.assert(
        fc.property(inputs, fc.integer({ min: 0, max: 1000 }), (input, more) => {
          const larger = { ...input, [key]: input[key] + more * (key === 'capacityBytes' ? PAGE_BYTES : 1) };
          expect(softLimit(larger)).toBeGreaterThanOrEqual(softLimit(input));
        }),
      );
    },
  );
});

describe('what is kept', () => {
  test('after a peak that is no longer remembered: what the last cycles needed', () =>
    expect(bytesToKeep(500 * MIB, [32 * MIB, 40 * MIB, 33 * MIB])).toBe(40 * MIB));

  test('as long as one of the last cycles needed it: everything', () =>
    expect(bytesToKeep(500 * MIB, [500 * MIB, 32 * MIB, 32 * MIB])).toBe(500 * MIB));

  test('what is little more than needed', () => expect(bytesToKeep(120 * MIB, [100 * MIB])).toBe(120 * MIB));

  test('nothing needed, nothing kept', () => expect(bytesToKeep(MIB, [])).toBe(0));

  test('a steady program gives nothing back once it has its size', () => {
    // Needs that vary by a tenth: after the first cycles no page is given back that the next one wants.
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.9, max: 1.1, noNaN: true }), { minLength: 10 }), (factors) => {
        let held = 0;
        const needs: number[] = [];
        for (const [i, factor] of factors.entries()) {
          const need = Math.round(100 * MIB * factor);
          needs.push(need);
          if (needs.length > 3) needs.shift();
          held = Math.max(held, need);
          const kept = bytesToKeep(held, needs);
          if (i >= 1) expect(kept).toBe(held);
          held = kept;
        }
      }),
    );
  });

  test('never more than is held, never less than is needed of it', () => {
    fc.assert(
      fc.property(bytes, fc.array(bytes), (held, needs) => {
        const kept = bytesToKeep(held, needs);
        expect(kept).toBeLessThanOrEqual(held);
        expect(kept).toBeGreaterThanOrEqual(Math.min(held, Math.max(0, ...needs)));
      }),
    );
  });
});

describe('the start of a cycle', () => {
  const calm: StartInput = {
    usedBytes: 10 * MIB,
    limitBytes: 110 * MIB,
    ratePerMs: 0,
    toRoomMs: 10,
    blackBytes: 0,
    externalPressure: 0,
    concurrent: true,
  };

  test('waits, in a quiet program, until almost all room is used', () =>
    expect(startAt(calm)).toBe(10 * MIB + 100 * MIB * (15 / 16)));

  test('comes as early as the rate needs it, with a margin', () =>
    // 20 MiB are allocated in the 20 ms of a cycle.
    expect(startAt({ ...calm, ratePerMs: MIB, toRoomMs: 20 })).toBe(80 * MIB));

  test('leaves room for what is allocated black', () =>
    expect(startAt({ ...calm, ratePerMs: MIB, toRoomMs: 20, blackBytes: 5 * MIB })).toBe(75 * MIB));

  test('is careful as long as no cycle has been seen', () =>
    expect(startAt({ ...calm, toRoomMs: undefined })).toBe(60 * MIB));

  test('a collector that stops everybody needs no lead', () =>
    expect(startAt({ ...calm, ratePerMs: 1e9, concurrent: false })).toBe(110 * MIB));

  test('however fast the program, something is allocated between two cycles', () =>
    expect(startAt({ ...calm, ratePerMs: 1e9 })).toBe(15 * MIB));

  test('a heap that is full begins at once', () =>
    expect(startAt({ ...calm, usedBytes: 110 * MIB })).toBe(110 * MIB));

  test('external memory brings it forward, to the last cycle when its allowance is used up', () => {
    const half = startAt({ ...calm, externalPressure: 0.5 });
    expect(half).toBe(10 * MIB + 50 * MIB * (15 / 16));
    expect(startAt({ ...calm, externalPressure: 1 })).toBe(10 * MIB);
    expect(startAt({ ...calm, externalPressure: 7 })).toBe(10 * MIB);
  });

  const inputs = fc.record({
    usedBytes: bytes,
    limitBytes: bytes,
    ratePerMs: rate,
    toRoomMs: ms,
    blackBytes: bytes,
    externalPressure: fc.double({ min: 0, max: 1, noNaN: true }),
    concurrent: fc.boolean(),
  });

  test('lies between what is in use and the limit', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const at = startAt(input);
        expect(at).toBeGreaterThanOrEqual(input.usedBytes);
        expect(at).toBeLessThanOrEqual(Math.max(input.usedBytes, input.limitBytes));
      }),
    );
  });

  test.each(['ratePerMs', 'toRoomMs', 'blackBytes', 'externalPressure'] as const)(
    'does not move back with more %s',
    (key) => {
      fc.assert(
        fc.property(inputs, fc.double({ min: 0, max: 1e6, noNaN: true }), (input, more) => {
          const later = startAt({ ...input, [key]: input[key] + more });
          expect(later).toBeLessThanOrEqual(startAt(input));
        }),
      );
    },
  );

  test('does not move forward with a higher limit', () => {
    fc.assert(
      fc.property(inputs, bytes, (input, more) => {
        const higher = startAt({ ...input, limitBytes: input.limitBytes + more });
        expect(higher).toBeGreaterThanOrEqual(startAt(input));
      }),
    );
  });
});

describe('external memory', () => {
  test('may grow by the minimum, or by its share of what there is', () => {
    expect(externalAllowance(0, 32 * MIB, 0.5)).toBe(32 * MIB);
    expect(externalAllowance(100 * MIB, 32 * MIB, 0.5)).toBe(100 * MIB);
  });

  test('pressure is 0 to 1', () => {
    expect(externalPressure(10, 100, 50)).toBe(0);
    expect(externalPressure(125, 100, 50)).toBe(0.5);
    expect(externalPressure(1000, 100, 50)).toBe(1);
  });
});

describe('the pace', () => {
  const calm = { roomBytes: 100 * MIB, remainingMs: 50, ratePerMs: MIB, threads: 1, bufferBytes: 65536 };

  test('is none where the room lasts', () => expect(paceUs(calm)).toBe(0));

  test('stretches the room over the time that is left', () => {
    // 200 ms for 90 MiB in buffers of 1/16 MiB: 139 µs each, of which the program takes 62.5.
    const us = paceUs({ ...calm, remainingMs: 200 });
    expect(us).toBe(Math.ceil((200_000 / 90 - 1000) / 16));
  });

  test('is the longest where no room is left', () => {
    expect(paceUs({ ...calm, roomBytes: 0 })).toBe(PACE_MAX_US);
    expect(paceUs({ ...calm, roomBytes: -1 })).toBe(PACE_MAX_US);
  });

  test('is none for a program that allocates nothing, or when room comes at once', () => {
    expect(paceUs({ ...calm, roomBytes: 0, ratePerMs: 0 })).toBe(0);
    expect(paceUs({ ...calm, roomBytes: 0, remainingMs: 0 })).toBe(0);
  });

  const inputs = fc.record({
    roomBytes: bytes,
    remainingMs: ms,
    ratePerMs: rate,
    threads: fc.integer({ min: 1, max: 64 }),
    bufferBytes: fc.constant(65536),
  });

  test('is a whole number within its bounds', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const us = paceUs(input);
        expect(Number.isInteger(us) && us >= 0 && us <= PACE_MAX_US).toBe(true);
      }),
    );
  });

  test('is a number for every room and rate', () => {
    const least = Number.MIN_VALUE;
    expect(
      paceUs({ roomBytes: least, remainingMs: 0.5, ratePerMs: 3 * least, threads: 1, bufferBytes: 65536 }),
    ).toBe(PACE_MAX_US);
  });

  test('never falls with more time to bridge, a faster program or more threads, nor rises with more room', () => {
    fc.assert(
      fc.property(inputs, fc.double({ min: 0, max: 1e6, noNaN: true }), (input, more) => {
        const us = paceUs(input);
        for (const key of ['remainingMs', 'ratePerMs'] as const)
          expect(paceUs({ ...input, [key]: input[key] + more })).toBeGreaterThanOrEqual(us);
        expect(paceUs({ ...input, threads: input.threads + 1 })).toBeGreaterThanOrEqual(us);
        expect(paceUs({ ...input, roomBytes: input.roomBytes + more })).toBeLessThanOrEqual(us);
      }),
    );
  });

  test('a program that waits as it is told has room left when the cycle is over', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        fc.pre(input.ratePerMs > 0);
        const us = paceUs(input);
        fc.pre(us < PACE_MAX_US);
        const msPerBuffer = input.bufferBytes / (input.ratePerMs / input.threads) + us / 1000;
        const taken = (input.remainingMs / msPerBuffer) * input.bufferBytes * input.threads;
        expect(taken).toBeLessThanOrEqual(input.roomBytes * 0.9001 + 1);
      }),
    );
  });
});

describe('time until there is room', () => {
  const half: Progress = {
    tracingMs: 50,
    slices: 10,
    expectedSlices: 20,
    expectedTracingMs: 80,
    traced: false,
    sinceTracedMs: 0,
    expectedRestMs: 7,
  };

  test('follows the speed that this cycle shows', () => expect(untilRoomMs(half)).toBe(57));
  test('is the expected one at the beginning', () =>
    expect(untilRoomMs({ ...half, tracingMs: 0, slices: 0 })).toBe(87));
  test('is some of the time so far in a cycle that takes longer than the last', () =>
    expect(untilRoomMs({ ...half, tracingMs: 120, slices: 25 })).toBe(37));
  test('is the rest when all is traced, and some more when that takes longer', () => {
    expect(untilRoomMs({ ...half, traced: true, sinceTracedMs: 3 })).toBe(4);
    expect(untilRoomMs({ ...half, traced: true, sinceTracedMs: 40 })).toBe(10);
  });
});

describe('estimates', () => {
  test('a steady rate is expected', () => {
    let estimate = NO_RATE;
    for (let i = 0; i < 500; i++) estimate = observeRate(estimate, 1000, 10);
    expect(expectedRate(estimate)).toBeCloseTo(100, 6);
    expect(estimate.meanPerMs).toBeCloseTo(100, 1);
  });

  test('a burst is expected again for a while, and forgotten', () => {
    let estimate = observeRate(NO_RATE, 100_000, 10);
    expect(expectedRate(estimate)).toBe(10_000);
    for (let i = 0; i < 100; i++) estimate = observeRate(estimate, 0, 10);
    expect(expectedRate(estimate)).toBeCloseTo(5000, 3);
    estimate = observeRate(estimate, 0, 60_000);
    expect(expectedRate(estimate)).toBeLessThan(1);
  });

  test('is never below the mean, nor above the fastest', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 1e8 }), fc.integer({ min: 1, max: 1000 }))),
        (seen) => {
          let estimate = NO_RATE;
          for (const [amount, time] of seen) estimate = observeRate(estimate, amount, time);
          const fastest = Math.max(0, ...seen.map(([amount, time]) => amount / time));
          expect(expectedRate(estimate)).toBeGreaterThanOrEqual(estimate.meanPerMs);
          expect(expectedRate(estimate)).toBeLessThanOrEqual(fastest * (1 + 1e-9));
        },
      ),
    );
  });

  test('durations: nothing, the first with a margin, then mean and spread', () => {
    expect(expectedDuration(NO_DURATION)).toBe(0);
    let estimate = observeDuration(NO_DURATION, 40);
    expect(expectedDuration(estimate)).toBe(60);
    for (let i = 0; i < 100; i++) estimate = observeDuration(estimate, 40);
    expect(expectedDuration(estimate)).toBeCloseTo(40, 3);
    estimate = observeDuration(estimate, 80);
    expect(expectedDuration(estimate)).toBeCloseTo(70, 3);
  });
});
