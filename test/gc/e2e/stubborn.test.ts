// Bounded safepoints: a thread that does not answer is named, and costs its collection, not the heap.

import { describe, expect, test } from 'vitest';
import { succeed } from './support.ts';

interface Outcome {
  readonly thrown: { readonly code: string; readonly message: string };
  readonly event: string;
}

const PHASES = { mark: 1, remark: 2, flip: 4 };
const NOW = 0;

describe('a thread that reaches no safepoint', () => {
  test.each(
    Object.entries(PHASES).flatMap(([name, phase]) => [
      { name, phase, options: {} },
      { name, phase, options: { fill: 'copy', verify: 'full' } },
    ]),
  )('in the phase $name, $options', async ({ name, phase, options }) => {
    const { thrown, event } = await succeed<Outcome>('stubborn', 'timeout', { options, phase });
    expect(thrown.code).toBe('ERR_TIMEOUT');
    for (const message of [thrown.message, event]) {
      expect(message).toMatch(/^"stubborn" \(thread id \d+\) did not reach a safepoint within \d+ ms/);
      expect(message).toContain(phase === PHASES.mark ? 'a handshake' : `the ${name} pause`);
      expect(message).toContain(`in the phase ${name}`);
    }
  });

  test.each([{ verify: 'full' }, { verify: 'off' }])('stop-the-world, %j', async (options) => {
    const outcome = await succeed<Outcome>('stubborn', 'timeout', {
      options: { collector: 'stop-the-world', ...options },
      phase: NOW,
    });
    expect(outcome.thrown.message).toContain('the pause of the stop-the-world collector');
  });

  test('is called by its id when it has no name', async () => {
    const { thrown } = await succeed<Outcome>('stubborn', 'timeout', { phase: NOW, named: false });
    expect(thrown.message).toMatch(/^"thread (\d+)" \(thread id \1\)/);
  });

  test('and no limit: it is waited for', () => succeed('stubborn', 'never'));
});
