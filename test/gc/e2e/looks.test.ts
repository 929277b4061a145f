// heap.snapshot() at bad moments, and files in bad places.
import { describe, expect, test } from 'vitest';
import { batch, describeEnd, run, succeed } from './support.ts';

const cases = batch('looks', {
  turns: ['turns', { options: {}, cycles: 40 }],
  'turns of the stop-the-world collector': [
    'turns',
    { options: { collector: 'stop-the-world' }, cycles: 40 },
  ],
  reused: ['reused', { options: {} }],
  window: ['window', { options: {}, count: 20_000 }],
  'window, copied': ['window', { options: { fill: 'copy', verify: 'phase' }, count: 20_000 }],
  empty: ['empty', { options: {} }],
  'empty, without a collector': ['empty', { options: { collector: 'none' } }],
  file: ['file', { options: {} }],
  dead: ['dead', { options: {} }],
  'dead, without a collector': ['dead', { options: { collector: 'none' } }],
  nested: ['nested'],
});

test.each(['turns', 'turns of the stop-the-world collector'])(
  '%s: a cycle goes before looks that begin after it was asked for',
  async (name) => {
    const { looks, overtaken } = await cases<{ looks: number; overtaken: number }>(name);
    expect(looks).toBeGreaterThan(10);
    expect(overtaken).toBe(0);
  },
);

test('a thread that has the id of one that died in a look is not taken for it', async () => {
  await cases('reused');
});

test.each(['window', 'window, copied'])('%s: a look waits for the end of an open window', async (name) => {
  await cases(name);
});

test.each(['empty', 'empty, without a collector'])('%s: a heap without objects', async (name) => {
  await cases(name);
});

test.each(['dead', 'dead, without a collector'])(
  '%s: a thread that was terminated while it ran is not waited for',
  async (name) => {
    await cases(name);
  },
);

test('no snapshot inside another one, of whatever heap', async () => {
  await cases('nested');
});

test('a file that cannot be made, or not whole, is a typed error and leaves nothing', async () => {
  await cases('file');
});

describe.each(['concurrent', 'stop-the-world'])('%s', (collector) => {
  test('process.exit() in the middle of a look, for whose end the collector waits', async () => {
    const end = await run('looks', 'exits', { options: { collector } });
    expect(end.status, describeEnd(end)).toBe(7);
  });

  test('the same on the thread that made the heap: those who use it are not stopped for ever', () =>
    succeed('looks', 'creatorExits', { options: { collector } }));
});
