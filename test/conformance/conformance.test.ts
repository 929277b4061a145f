// The kit says nothing of a runtime without mistakes, and tells mistakes apart that look alike.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { MISTAKES } from '#examples/skeleton/mistakes/index.js';
import skeleton from '#examples/skeleton/embedder.js';
import {
  CHECKS,
  type CheckName,
  conformance,
  type ConformanceReport,
  CURES,
  describeReport,
  type Mistake,
} from '#src/conformance/index.js';

// Only a hang is meant to meet it: the kit gives up a process long before.
vi.setConfig({ testTimeout: 240_000 });

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
/** All but the histories, which take longest, and are skipped where anything else fails. */
const EXACT = CHECKS.filter((check) => check !== 'history');

/** Only the kit's own processes import the module. */
function variant(name: string, checks: readonly CheckName[], seed = SEED): Promise<ConformanceReport> {
  const { href } = new URL(`./variants.mjs?variant=${name}`, import.meta.url);
  // Without a safepoint a cycle is waited for: not for as long as by default.
  const timeoutMs = name === 'no-poll' ? '20s' : '60s';
  return conformance({ ...skeleton, name, module: href }, { seed, checks, timeoutMs });
}

test('a runtime without mistakes passes every check, and each did something', async () => {
  const seen: CheckName[] = [];
  const report = await conformance(skeleton, { seed: SEED, onCheck: ({ check }) => seen.push(check) });
  expect(report, describeReport(report)).toMatchObject({ passed: true, mistakes: [], seed: SEED });
  expect(seen.sort()).toEqual([...CHECKS].sort());
  expect(report.checks.map(({ status }) => status)).toEqual(CHECKS.map(() => 'passed'));
  const covered = Object.fromEntries(report.checks.map((check) => [check.check, check.covered]));
  expect(Number(/(\d+) collections/.exec(covered.history!)![1])).toBeGreaterThan(50);
  expect(Number(/(\d+) stores/.exec(covered.barrier!)![1])).toBeGreaterThan(20);
});

// The place that a planted mistake is in.
const PLACES: Readonly<Record<string, object>> = {
  'missed-root': { root: expect.stringMatching(/^registers\[0\], .* and 12 more$/) },
  'missed-barrier': { type: 'vector' },
  'wrong-map': { type: 'closure', field: 'name' },
  'stale-reference': { operation: 'cons', at: expect.stringContaining('stale-reference.js') },
  'lying-size': { type: 'string' },
};

test.each(Object.entries(MISTAKES))('%s is named, and nothing else', async (name, embedder) => {
  const report = await conformance(embedder, { seed: SEED, checks: EXACT });
  expect(report.mistakes, describeReport(report)).toEqual([name]);
  const findings = report.checks.flatMap((check) => check.findings);
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatchObject({ ...PLACES[name], cure: CURES[name as Mistake], seed: SEED });
  const text = describeReport(report);
  expect(text).toContain(`${name}: `);
  expect(text).toContain(CURES[name as Mistake]);
  expect(text).toContain(`does not conform: ${name}`);
});

describe('variants of a mistake', () => {
  const cases: [variant: string, mistake: Mistake, check: CheckName, place: object][] = [
    ['card-of-the-object', 'missed-barrier', 'barrier', { type: 'vector' }],
    ['barrier-in-an-operation', 'missed-barrier', 'barrier', { operation: 'reverse' }],
    ['extra-reference', 'wrong-map', 'map', { type: 'closure', field: '+12' }],
    ['one-root-short', 'missed-root', 'roots', { root: 'registers[15]' }],
    ['cached-root', 'missed-root', 'roots', { root: expect.stringContaining('globals[0]') }],
    ['stale-in-a-loop', 'stale-reference', 'stale', { operation: 'append' }],
    ['stale-result', 'stale-reference', 'stale', { operation: 'extend' }],
    ['short-bump', 'lying-size', 'size', { type: 'closure' }],
    ['length-in-bytes', 'lying-size', 'size', { type: 'string' }],
    ['no-poll', 'no-safepoint', 'safepoint', { operation: 'safepoint' }],
    ['disagrees-with-its-model', 'inconsistent-hooks', 'hooks', { operation: 'cons' }],
    ['dies', 'inconsistent-hooks', 'hooks', { operation: 'cons' }],
    [
      'stale-in-attach',
      'stale-reference',
      'roots',
      { operation: 'attach', at: expect.stringContaining('variants.mjs') },
    ],
    ['stale-in-a-root', 'stale-reference', 'roots', { root: 'globals[0]' }],
    ['writes-past-the-end', 'lying-size', 'hooks', { operation: 'concatenate', type: 'string' }],
    ['handle-without-a-scope', 'leaked-handle', 'stale', { operation: 'make closure' }],
    ['tagged-integer', 'wrong-map', 'hooks', { operation: 'cons', type: 'pair', field: 'car' }],
  ];
  test.each(cases)('%s is a %s', async (name, mistake, check, place) => {
    const report = await variant(name, [check]);
    expect(report.mistakes, describeReport(report)).toEqual([mistake]);
    expect(report.checks[0]!.findings).toContainEqual(expect.objectContaining({ mistake, ...place }));
  });
});

// Chance alone gave this seed four lists of one pair, and nothing to store.
test('an operation that walks has somewhere to go, with every seed', async () => {
  const report = await variant('barrier-in-an-operation', ['barrier'], 304_870_238);
  expect(report.mistakes, describeReport(report)).toEqual(['missed-barrier']);
});

test('a check that needs another one is skipped, and says so', async () => {
  const report = await variant('length-in-bytes', ['size', 'map']);
  expect(report.checks.map(({ status }) => status)).toEqual(['failed', 'skipped']);
  expect(report.checks[1]!.covered).toContain('size');
});

test('histories alone explain what goes wrong', async () => {
  const report = await conformance(MISTAKES['missed-root']!, { seed: SEED, checks: ['history'] });
  expect(report.mistakes, describeReport(report)).toEqual(['missed-root']);
});

test.each<object>([
  { checks: [] },
  { checks: ['sizes'] },
  { effort: 0 },
  { seed: 'one' },
  { timeoutMs: 0.5 },
  { timeoutMs: '20min' },
  { onCheck: 'each' },
  { check: ['size'] },
])('%j would pass without a check, and is refused', async (options) => {
  await expect(conformance(skeleton, options)).rejects.toMatchObject({ code: 'ERR_OPTION' });
});

test('options of the heap that are the kit’s are refused', async () => {
  const greedy = { ...skeleton, heap: { heap: '64MiB' } } as never;
  await expect(conformance(greedy, { checks: ['size'] })).rejects.toMatchObject({
    code: 'ERR_OPTION',
    message: 'embedder.heap: there is no option heap',
    hint: expect.stringContaining('persistentSlots'),
  });
});

/** Processes of the kit that run histories and checks with this seed. */
function processesOf(seed: number): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`"seed":${seed},`);
    } catch {
      return false;
    }
  });
}

test('when it rejects, the processes of its other checks end', { timeout: 100_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tospace-conformance-test-'));
  const sign = join(directory, 'sign');
  const query = new URLSearchParams({ variant: 'hangs-or-throws', sign });
  const { href } = new URL(`./variants.mjs?${query}`, import.meta.url);
  const seed = 1_000_000_000 + Math.floor(Math.random() * 1e9);
  const options = { seed, checks: ['stale', 'safepoint'], timeoutMs: '110s' } as const;
  const rejected = conformance({ ...skeleton, module: href }, options);
  // It is looked at below: until then it is nobody's.
  rejected.catch(() => {});
  try {
    await expect.poll(() => processesOf(seed).length, { timeout: 40_000 }).toBe(2);
  } finally {
    writeFileSync(sign, '');
  }
  await expect(rejected).rejects.toThrow('enough');
  await expect.poll(() => processesOf(seed), { timeout: 30_000 }).toEqual([]);
  rmSync(directory, { recursive: true });
});

test('an embedder without its module is refused', async () => {
  const rejected = conformance({ ...skeleton, module: undefined as never }, { checks: ['size'] });
  await expect(rejected).rejects.toMatchObject({ code: 'ERR_OPTION' });
  await expect(conformance(undefined as never)).rejects.toMatchObject({ code: 'ERR_OPTION' });
});

test('a hook that throws where nothing is wrong with the heap is an error, not a finding', async () => {
  await expect(variant('throws-at-once', ['size'])).rejects.toMatchObject({
    code: 'ERR_WORKER',
    message: 'the check size could not be run: no such machine',
    hint: expect.stringContaining('hook'),
    cause: expect.objectContaining({
      message: 'no such machine',
      stack: expect.stringContaining('variants.mjs'),
    }),
  });
});

test.each([
  ['that is not there', new URL('./not-there.mjs', import.meta.url).href, /not-there/],
  ['with an error', 'data:text/javascript,throw new RangeError("while loading")', /^while loading$/],
  [
    'without an embedder',
    'data:text/javascript,export const embedder = {};',
    /no embedder as its default export/,
  ],
])('a module %s is a typed error', async (_, module, why) => {
  await expect(conformance({ ...skeleton, module }, { seed: SEED, checks: ['size'] })).rejects.toMatchObject({
    code: 'ERR_OPTION',
    message: expect.stringMatching(/^embedder\.module does not load: /),
    hint: expect.stringContaining('import.meta.url'),
    cause: expect.objectContaining({ message: expect.stringMatching(why) }),
  });
});

test.each<[string, () => void]>([
  [
    'throws',
    () => {
      throw new Error('mine');
    },
  ],
  ['rejects', () => Promise.reject(new Error('mine'))],
])('conformance rejects with what onCheck %s, and goes no further', async (_, onCheck) => {
  const told = vi.fn(onCheck);
  const options = { seed: SEED, checks: ['size', 'hooks'], onCheck: told } as const;
  await expect(conformance(skeleton, options)).rejects.toThrow('mine');
  expect(told).toHaveBeenCalledTimes(1);
});
