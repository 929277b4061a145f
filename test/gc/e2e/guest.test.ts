// WebAssembly guests: the modules of docs/guest-abi.md as they stand there, and the workloads that have a guest's form.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GUESTS } from '#bench/guest/run.js';
import * as layout from '#src/heap/layout.js';
import { runCommand } from '../../support/child.ts';
import { HANG_MS, succeed } from './support.ts';

const MIB = 1024 * 1024;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const document = readFileSync(join(root, 'docs/guest-abi.md'), 'utf8');
const block = (language: string): string =>
  new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(document)![1]!;

/** A user's folder: `tospace` is installed in it, and `guest.wasm` and `guest-as.wasm` lie there. */
let folder = '';
const wasm = (name: string): string => join(folder, name);

async function assembleText(text: string): Promise<Uint8Array> {
  // The AssemblyScript compiler brings an assembler along.
  const compiler = createRequire(import.meta.url).resolve('assemblyscript/package.json');
  const path = join(compiler, '../../binaryen/index.js');
  const { default: binaryen } = (await import(pathToFileURL(path).href)) as {
    default: {
      Features: { All: number };
      parseText(text: string): {
        setFeatures(features: number): void;
        validate(): number;
        emitBinary(): Uint8Array;
      };
    };
  };
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  expect(module.validate()).toBe(1);
  return module.emitBinary();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tospace-guest-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/tospace'));
  writeFileSync(wasm('guest.wasm'), await assembleText(block('wat')));
  writeFileSync(join(folder, 'guest-as.ts'), block('as'));
  // The command as the document gives it.
  const words = /npx asc guest\.ts --outFile guest\.wasm ([\s\S]*?)```/
    .exec(document)![1]!
    .replaceAll('\\\n', ' ')
    .trim()
    .split(/\s+/);
  const asc = join(root, 'node_modules/assemblyscript/bin/asc.js');
  execFileSync(process.execPath, [asc, 'guest-as.ts', '--outFile', 'guest-as.wasm', ...words], {
    cwd: folder,
  });
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

test("the host of the document runs the document's guest", async () => {
  writeFileSync(join(folder, 'host.mjs'), block('ts'));
  const script = `process.chdir(${JSON.stringify(folder)}); await import(${JSON.stringify(join(folder, 'host.mjs'))});`;
  const result = await runCommand(process.execPath, ['--input-type=module', '--eval', script], HANG_MS);
  // 1 + 2 + … + 1 000 000 in 32 bits.
  expect(result).toMatchObject({ status: 0, stderr: '', stdout: `${500_000_500_000 | 0}\n` });
});

const HEAPS = {
  concurrent: { n: 50_000, cyclesMin: 30, options: {} },
  'stop-the-world': { n: 50_000, cyclesMin: 30, options: { collector: 'stop-the-world' } },
  // One list has as many safepoints.
  'a cycle at every safepoint, verified': {
    n: 12,
    cyclesMin: 24,
    options: { verify: 'full', stress: { collectEverySafepoint: 1, collectEveryAllocation: 1 } },
  },
} as const;
const modules = ['guest.wasm', 'guest-as.wasm'];
test.each(
  modules.flatMap((name) => Object.entries(HEAPS).map(([heap, config]) => [name, heap, config] as const)),
)('%s adds up its list: %s', async (name, _, { n, ...heap }) => {
  const config = { wasm: wasm(name), n, ...heap };
  const result = await succeed<{ sums: number[]; depth: number }>('guest', 'sum', config);
  expect(result).toEqual({ sums: [((n * (n + 1)) / 2) | 0], depth: 0 });
});

test('what the functions of the ABI refuse, they name; nothing is broken afterwards', async () => {
  const type = { code: 'ERR_TYPE', message: expect.any(String) };
  expect(await succeed('guest', 'refusals', { wasm: wasm('guest.wasm') })).toEqual({
    outside: { code: 'ERR_STATE', message: expect.stringContaining('safe region') },
    size: { code: 'ERR_TYPE', message: expect.stringMatching(/of type \d+ does not take 24 bytes/) },
    noType: { code: 'ERR_TYPE', message: 'there is no type 999' },
    wildType: type,
    arraySize: { code: 'ERR_TYPE', message: expect.stringContaining('length 9 does not take 16 bytes') },
    arrayRight: { code: 'nothing', message: '' },
    overflow: type,
    negative: type,
    stack: { code: 'ERR_HANDLE', message: expect.any(String) },
    unchecked: { code: 'nothing', message: '' },
    room: 0,
    noRoom: 'ERR_OUT_OF_MEMORY',
    link: 'TypeError',
    same: true,
    full: 'ERR_OUT_OF_MEMORY',
    depth: 0,
    after: 500_500,
    detached: 'ERR_STATE',
  });
});

test('a verifying heap looks at every allocation, every poll and every root of a guest', async () => {
  expect(await succeed('guest', 'verified')).toEqual({
    everyAllocation: true,
    everyPoll: true,
    good: 'nothing',
    badRootAtPoll: { code: 'ERR_TYPE', message: expect.stringContaining('the root 0 below the top') },
    badRootAtAllocation: 'ERR_TYPE',
    slot: 'nothing',
    badSlot: 'ERR_TYPE',
    raw: 'nothing',
    badRaw: 'ERR_TYPE',
    badRef: 'ERR_TYPE',
  });
});

/** At seed 7, in every form: the table of bench/workloads/README.md, where it stands with the number of operations. */
const RESULTS: Readonly<Record<string, readonly [scale: number, operations: number, checksum: number]>> = {
  gcbench: [0.01, 448, 2062894701],
  'binary-trees': [0.01, 328, 3307724523],
  'lru-cache': [0.01, 157, 642152613],
  splay: [0.003, 30, 2340457975],
  quads: [0.003, 200, 1202258949],
  hyperalloc: [0.005, 164, 721542497],
  'pointer-chase': [0.02, 128, 256057381],
  references: [0.003, 98, 3352521674],
};

test('every workload with a guest is tested', () => {
  // gcbench-mt is gcbench with other sizes, and several threads.
  expect(Object.keys(RESULTS).sort()).toEqual(GUESTS.filter((name) => name !== 'gcbench-mt').sort());
});

test.each(Object.entries(RESULTS))(
  '%s has the checksum of its other forms as a guest',
  async (name, [scale, operations, checksum]) => {
    const options = { heap: 64 * MIB, trigger: 0.1 };
    const config = { name, scale, options, atMostAgain: name === 'gcbench' ? 100 : 0 };
    const result = await succeed<{ checksum: number; cycles: number; operations: number }>(
      'guest',
      'workload',
      config,
    );
    expect(result).toMatchObject({ checksum, operations });
    if (name === 'gcbench' || name === 'references') expect(result.cycles).toBeGreaterThan(0);
  },
);

test('so have they all in one verifying heap, where every access is checked', async () => {
  const names = Object.keys(RESULTS).filter((name) => name !== 'gcbench');
  const result = await succeed<Record<string, { guest: number; checked: number }>>('guest', 'checked', {
    names,
    scale: 0.0001,
    options: { heap: 64 * MIB },
  });
  expect(Object.keys(result)).toEqual(names);
  for (const [name, { guest, checked }] of Object.entries(result)) expect(checked, name).toBe(guest);
});

test('references as a guest finds every kind of mistake', async () => {
  const deaths = /^references: 0 objects were finalized with ids 0, not [1-9]\d* with \d+$/;
  const messages = {
    weakLost: /^references: the weak reference to subject \d+ does not name it, although it lives$/,
    valueLost: /^references: the ephemeron of subject \d+ has lost its value, although it lives$/,
    wrongSubject: /^references: the weak reference to subject \d+ names \d+$/,
    valueKept: /^references: subject \d+ is dead, and its ephemeron has a value$/,
    stillThere: /^references: subject \d+ is reachable by its weak reference only$/,
    neverGuarded: /^references: subject 1 was finalized, and was never guarded$/,
    notGuarded: deaths,
    notCollected: deaths,
  };
  expect(await succeed('guest', 'lies')).toEqual(
    Object.fromEntries(
      Object.entries(messages).map(([name, message]) => [name, expect.stringMatching(message)]),
    ),
  );
});

test("the document's numbers are the layout's", () => {
  const words = [...document.matchAll(/^\| +(\d+) \| `(T_\w+)` +\|/gm)];
  expect(words.map(([, , name]) => name)).toEqual([
    'T_CURSOR',
    'T_LIMIT',
    'T_SHADOW_BASE',
    'T_SHADOW_TOP',
    'T_SHADOW_LIMIT',
  ]);
  for (const [, offset, name] of words)
    expect(Number(offset) / 4, name).toBe((layout as unknown as Record<string, number>)[name!]);
  expect(document).toContain(`>>> ${layout.CARD_LOG2}`);
  expect(document).toContain(`>>> ${layout.CARD_LOG2 + layout.CARD_GROUP_LOG2}`);
  expect([layout.CARD_DIRTY, layout.GROUP_DIRTY]).toEqual([1, 1]);
  expect(layout.HEADER_BYTES).toBe(8);
});

test.each([
  'bench/guest/guest.wasm',
  'bench/guest/guest.checked.wasm',
  'examples/wasm-guest/guest.wasm',
  'examples/wasm-guest/guest.checked.wasm',
])('%s has no data, no memory and no start function', (name) => {
  const bytes = readFileSync(join(root, 'dist', name));
  const ids: number[] = [];
  for (let at = 8; at < bytes.length; ) {
    ids.push(bytes[at++]!);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      length |= (bytes[at]! & 0x7f) << shift;
      if (bytes[at++]! < 0x80) break;
    }
    at += length;
  }
  // Types, imports, functions, globals, exports, code; not memory (5), start (8), data (11), data count (12).
  expect(ids.filter((id) => [5, 8, 11, 12].includes(id))).toEqual([]);
  const foreign = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(
    ({ module }) => !['env', 'tospace_v1', 'types', 'operations', 'plan', 'references'].includes(module),
  );
  expect(foreign).toEqual([]);
});
