// Who listens to a heap may do what it likes, and the heap goes on.
import { test } from 'vitest';
import { batch, succeed } from './support.ts';

const result = batch('listeners', { using: ['using'], closing: ['closing'], heardAtClose: ['heardAtClose'] });

test('what listeners throw is an uncaught exception each, keeps nobody from being told, and the heap from closing not', async () => {
  await succeed('listeners', 'throwing');
});

test('a listener may allocate, collect, take snapshots; listeners come and go', async () => {
  await result('using');
});

test('a listener may close the heap; an observer outlives it', async () => {
  await result('closing');
});

test('close() tells of earlier cycles first, and what it tells of can be asked for', async () => {
  await result('heardAtClose');
});
