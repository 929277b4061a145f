// Heaps that cannot be made are refused by an error that can be caught, and leave nothing behind.
import { expect, test } from 'vitest';
import { batch, describeEnd, run, succeed } from './support.ts';

test('descriptors run out anywhere in a creation', async () => {
  // The creator takes five, the workers' event loops and modules the next; from some 14 on there is a heap.
  const lefts = Array.from({ length: 17 }, (_, left) => left);
  const outcomes = await succeed<Record<string, string>>(
    'creation',
    'descriptors',
    { lefts },
    { prefix: ['prlimit', '--nofile=128:128'] },
  );
  expect(Object.values(outcomes)).toContain('ERR_WORKER');
});

const cases = {
  'there is no thread for a worker: the others are ended': ['threads'],
  'a worker that fails while it starts is not replaced': ['failingStart'],
  'a creator that has been busy for longer than workers may take to start finds them armed': ['busyCreator'],
  'why a heap cannot be made is told even if its servers cannot be told to stop': ['unstoppable'],
} as const;
test.each(Object.keys(cases))('%s', batch('creation', cases));

test('the process exits beside a worker that fails before it is armed', async () => {
  // Whoever waits for that worker does so for 10 s.
  const result = await run('creation', 'exitBesideFailure', { code: 7 }, { timeoutMs: 9000 });
  expect(result.status, describeEnd(result)).toBe(7);
  expect(result.stderr).toBe('');
});

test('a heap that cannot be closed at exit does not keep others open, and says so', async () => {
  const result = await run('creation', 'exitOfTwo', { code: 7 });
  expect(result.status, describeEnd(result)).toBe(7);
  expect(result.stdout, describeEnd(result)).toBe('closed');
  expect(result.stderr).toContain('signalling a server to stop');
});
