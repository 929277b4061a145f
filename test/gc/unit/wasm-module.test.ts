import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { kernelModule, MEMORY_PAGES } from '#src/gc/kernels.js';

const binary = readFileSync(fileURLToPath(new URL('../../../dist/src/gc/kernels.wasm', import.meta.url)));

/** The sections of a module by id: [id, first byte, length]. */
function sections(): Map<number, Buffer[]> {
  const found = new Map<number, Buffer[]>();
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = binary[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  while (at < binary.length) {
    const id = binary[at++]!;
    const length = leb();
    found.set(id, [...(found.get(id) ?? []), binary.subarray(at, at + length)]);
    at += length;
  }
  return found;
}

const IMPORT = 2;
const START = 8;
const DATA = 11;
const DATA_COUNT = 12;

test('the module imports the memory and nothing else', () => {
  expect(WebAssembly.Module.imports(kernelModule() as never)).toEqual([
    { module: 'env', name: 'memory', kind: 'memory' },
  ]);
});

test('it has no data segment, which every instance would write into the heap, and no start function', () => {
  const found = sections();
  expect([...found.keys()]).toContain(IMPORT);
  expect(found.has(DATA)).toBe(false);
  expect(found.has(DATA_COUNT)).toBe(false);
  expect(found.has(START)).toBe(false);
});

test('the memory is shared and as large as declared, at least and at most', () => {
  const section = sections().get(IMPORT)![0]!;
  // count 1, "env", "memory", kind 2 (memory), flags 3 (shared, with a maximum), then both limits.
  const limits = section.subarray(1 + 4 + 7);
  expect([...limits.subarray(0, 2)]).toEqual([2, 3]);
  const pages = (bytes: Buffer): number => bytes[0]! - 0x80 + ((bytes[1]! - 0x80) << 7) + (bytes[2]! << 14);
  expect([pages(limits.subarray(2, 5)), pages(limits.subarray(5, 8))]).toEqual([MEMORY_PAGES, MEMORY_PAGES]);
  expect(MEMORY_PAGES).toBe(65536);
});

test('an instance writes nothing by itself', () => {
  const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
  const bytes = new Uint8Array(memory.buffer, 0, 1 << 20).fill(0x5a);
  new WebAssembly.Instance(kernelModule() as never, { env: { memory } });
  expect(bytes.every((byte) => byte === 0x5a)).toBe(true);
});
