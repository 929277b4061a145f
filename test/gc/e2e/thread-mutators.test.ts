// Several mutators of one thread: it never waits for itself.
import { describe, test } from 'vitest';
import { batch, succeed } from './support.ts';

describe.each([
  ['concurrent', {}],
  ['stop-the-world', { collector: 'stop-the-world' }],
  ['concurrent, verifying', { verify: 'full' }],
])('%s', (_, options) => {
  const result = batch('thread-mutators', {
    collects: ['collects', { options }],
    snapshots: ['snapshots', { options }],
    meets: ['meets', { options }],
    room: ['room', { options }],
    refused: ['refused', { options }],
  });

  test('one collects, and allocates, inside run() of another: roots of both are rewritten', async () => {
    await result('collects');
  });

  test('a snapshot through any view, whichever of them runs', async () => {
    await result('snapshots');
  });

  test('every place where one may wait for a pause lets it come about', async () => {
    await result('meets');
  });

  test('attaching inside run() when all records are taken waits for a cycle that releases one', async () => {
    await result('room');
  });

  test('while one lets the thread block, the others are refused', async () => {
    await result('refused');
  });
});

test('a verifying heap finds what is kept over a safepoint of the other, and not what the other has read', async () => {
  await succeed('thread-mutators', 'stale');
});
