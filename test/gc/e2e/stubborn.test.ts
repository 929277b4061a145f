// Bounded safepoints: a thread that does not answer is named, and costs its collection, not the heap.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { batch, succeed } from './support.ts';

interface Outcome {
  readonly thrown: { readonly code: string; readonly message: string };
  readonly event: string;
}

const PHASES = { mark: 1, remark: 2, flip: 4 };
const NOW = 0;

/** What a message has to say. */
const during = (name: string, phase: number): string[] => [
  phase === PHASES.mark ? 'a handshake' : `the ${name} pause`,
  `in the phase ${name}`,
];
const STOP_THE_WORLD = ['the pause of the stop-the-world collector'];

describe('a thread that reaches no safepoint', () => {
  const phases = Object.entries(PHASES).flatMap(([name, phase]) => [
    { name, phase, options: {} },
    { name, phase, options: { fill: 'copy', verify: 'full' } },
  ]);
  const title = (name: string, options: object): string => `in the phase ${name}, ${JSON.stringify(options)}`;
  const cases = {
    ...Object.fromEntries(
      phases.map(({ name, phase, options }) => [
        title(name, options),
        ['timeout', { options, phase, during: during(name, phase) }] as const,
      ]),
    ),
    ...Object.fromEntries(
      ['full', 'off'].map((verify) => [
        `stop-the-world, ${verify}`,
        [
          'timeout',
          { options: { collector: 'stop-the-world', verify }, phase: NOW, during: STOP_THE_WORLD },
        ] as const,
      ]),
    ),
    nameless: ['timeout', { phase: NOW, named: false }] as const,
    never: ['never'] as const,
  };
  const result = batch<Outcome>('stubborn', cases);

  test.each(phases)('in the phase $name, $options', async ({ name, phase, options }) => {
    const { thrown, event } = await result(title(name, options));
    expect(thrown.code).toBe('ERR_TIMEOUT');
    for (const message of [thrown.message, event]) {
      expect(message).toMatch(/^"stubborn" \(thread id \d+\) did not reach a safepoint within \d+ ms/);
      for (const words of during(name, phase)) expect(message).toContain(words);
    }
  });

  test.each(['full', 'off'])('stop-the-world, verify %s', async (verify) => {
    const { thrown } = await result(`stop-the-world, ${verify}`);
    for (const words of STOP_THE_WORLD) expect(thrown.message).toContain(words);
  });

  test('is called by its id when it has no name', async () => {
    const { thrown } = await result('nameless');
    expect(thrown.message).toMatch(/^"thread (\d+)" \(thread id \1\)/);
  });

  test('and no limit: it is waited for', async () => {
    await result('never');
  });

  test('and is the main thread, too busy to print for others: it is named', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tospace-stubborn-'));
    try {
      const prefix = ['sh', '-c', 'exec 2>"$0"; exec "$@"', join(folder, 'stderr')];
      const printed = await succeed<string>('stubborn', 'blockedMain', {}, { prefix });
      expect(printed).toMatch(
        /^tospace: "main" \(thread id \d+\) has not reached a safepoint for \d+ ms, and a collection waits for it\./m,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
