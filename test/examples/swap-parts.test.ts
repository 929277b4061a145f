// The small parts of the swap example that need no memory to be moved.
import { describe, expect, test } from 'vitest';
import { Clock } from '#examples/swap/clock.js';
import { CODEC_NAMES, createCodec, defaultCodec } from '#examples/swap/codec.js';
import { Content, RECORD_BYTES, readCorpus } from '#examples/swap/content.js';
import { HISTOGRAM_BYTES, Histogram } from '#examples/swap/histogram.js';
import { RegionState, RegionTable } from '#examples/swap/region.js';

describe('the clock', () => {
  const always = (): boolean => true;

  test('goes round in order, and not faster than a round may be', () => {
    const clock = new Clock(3, 100);
    const tried = [0, 0, 0, 0, 50, 100, 100].map((ms) => clock.next(ms, always));
    expect(tried).toEqual([0, 1, 2, -1, -1, 0, 1]);
  });

  test('passes over what is not eligible', () => {
    const clock = new Clock(4, 0);
    expect([1, 2].map((ms) => clock.next(ms, (region) => region === 2))).toEqual([2, 2]);
    expect(clock.next(3, () => false)).toBe(-1);
  });

  test('leaves a region alone the longer the more often it was rescued, until it stays out', () => {
    const clock = new Clock(1, 1);
    let ms = 0;
    /** Rounds until the region is tried again. */
    const rounds = (): number => {
      for (let round = 1; ; round++) if (clock.next(++ms, always) === 0) return round;
    };
    const rests = Array.from({ length: 8 }, () => {
      rounds();
      clock.rescued(0);
      const rest = rounds();
      clock.rescued(0);
      return rest;
    });
    expect(rests[0]).toBe(2);
    expect(rests.slice(1).every((rest, i) => rest >= rests[i]!)).toBe(true);
    expect(rests.at(-1)).toBe(64);
    rounds();
    clock.evicted(0);
    clock.rescued(0);
    expect(rounds()).toBe(2);
    clock.loaded(0);
    expect(rounds()).toBe(2);
  });
});

describe('the table', () => {
  test('lets one of two win', () => {
    const table = RegionTable.create(2);
    expect(table.tryChange(1, RegionState.RESIDENT, RegionState.MOVING)).toBe(true);
    expect(table.tryChange(1, RegionState.RESIDENT, RegionState.MOVING)).toBe(false);
    expect(() => table.change(1, RegionState.EVICTING, RegionState.IN_FILE)).toThrow(
      expect.objectContaining({ code: 'ERR_INVARIANT', message: expect.stringMatching(/EVICTING.*MOVING/) }),
    );
    expect(table.census()).toEqual([1, 1, 0, 0, 0, 0, 0]);
  });

  test('keeps slots apart, to the last bit, and shows them to other threads', () => {
    const table = RegionTable.create(3);
    const slot = { block: 2 ** 31 - 1, storedBytes: 65536, crc: 0xfedcba98 };
    table.setSlot(1, slot);
    const other = new RegionTable(table.buffer);
    expect([other.slot(0), other.slot(1), other.slot(2)]).toEqual([undefined, slot, undefined]);
    table.setSlot(1, undefined);
    expect(other.slot(1)).toBeUndefined();
  });
});

describe('codecs', () => {
  const raw = new Uint8Array(readCorpus()).slice(0, 65536);
  for (const name of CODEC_NAMES) {
    test(`${name} gives back what it was given`, (context) => {
      if (name === 'zstd' && defaultCodec() !== 'zstd') {
        expect(() => createCodec('zstd')).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }));
        context.skip('this Node has no zstd');
      }
      const codec = createCodec(name);
      const stored = codec.compress(raw).slice();
      expect(Buffer.compare(codec.decompress(stored, raw.length), raw)).toBe(0);
      if (name !== 'none') expect(stored.length).toBeLessThan(raw.length);
    });
  }
});

test('a histogram is right to 4.5 %, and over several writers', () => {
  const buffer = new SharedArrayBuffer(HISTOGRAM_BYTES * 2);
  const [one, two] = [new Histogram(buffer, 0), new Histogram(buffer, HISTOGRAM_BYTES)];
  expect(Histogram.quantiles([one, two])).toEqual({ count: 0, p50Us: 0, p99Us: 0, maxUs: 0 });
  for (let us = 1; us <= 1000; us++) (us % 2 === 0 ? one : two).record(us);
  two.record(5e9);
  const { count, p50Us, p99Us, maxUs } = Histogram.quantiles([one, two]);
  expect(count).toBe(1001);
  expect(p50Us / 500).toBeGreaterThanOrEqual(1);
  expect(p50Us / 500).toBeLessThan(1.045);
  expect(p99Us / 990).toBeGreaterThanOrEqual(1);
  expect(p99Us / 990).toBeLessThan(1.045);
  expect(maxUs).toBe(2 ** 27);
});

describe('contents', () => {
  const corpus = readCorpus();
  const memory = new ArrayBuffer(64 * RECORD_BYTES);
  const contents = [0, 1].map((owner) => new Content(corpus, memory, owner, 2, 7));

  test('every single wrong byte is found, by its owner', () => {
    for (const content of contents) for (let i = 0; i < content.records; i++) content.write(i);
    for (const content of contents) for (let i = 0; i < 8; i++) content.write(i * 3);
    const wrong = (): number[] =>
      contents.map((content) => {
        let sum = 0;
        for (let i = 0; i < content.records; i++) sum += content.read(i);
        return sum;
      });
    expect(wrong()).toEqual([0, 0]);
    const bytes = new Uint8Array(memory);
    for (let at = 0; at < bytes.length; at += 61) {
      bytes[at]! ^= 0x10;
      const owner = Math.floor(at / RECORD_BYTES) % 2;
      expect(wrong()).toEqual(owner === 0 ? [1, 0] : [0, 1]);
      bytes[at]! ^= 0x10;
    }
    expect(contents[0]!.seen).not.toBe(contents[0]!.expected);
    expect(contents[0]!.firstWrong).toMatch(/^record 0, version \d+, word 0/);
  });

  test('a record that is an older version is wrong', () => {
    const [content] = contents as [Content];
    const before = new Uint8Array(memory, 0, RECORD_BYTES).slice();
    content.write(0);
    expect(content.read(0)).toBe(0);
    new Uint8Array(memory).set(before);
    expect(content.read(0)).toBeGreaterThan(10);
  });
});
