// Other users, other machines: no privileges, one CPU, large heaps, and memory that is wanted back.

import { describe, expect, test } from 'vitest';
import { batch, SOAK, succeed } from './support.ts';

const MIB = 1024 * 1024;

interface Plain {
  readonly kind: string;
  readonly faults: number;
  readonly uid: number;
  /** What became of a heap that insists on priority in pauses. */
  readonly raise: string;
}

test.runIf(process.getuid?.() === 0)(
  'an unprivileged user gets a concurrent collector with user-mode faults',
  async () => {
    const prefix = [
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      '--no-new-privs',
      '--bounding-set=-all',
      '--inh-caps=-all',
    ];
    const outcome = await succeed<Plain>('resources', 'plain', {}, { prefix });
    expect(outcome.uid).toBe(65534);
    expect(outcome.faults).toBeGreaterThan(0);
    expect(outcome.raise).toBe('ERR_PERMISSION');
    // Where vm.unprivileged_userfaultfd is 1 the full kind is allowed.
    expect(['user-mode-only', 'full']).toContain(outcome.kind);
  },
);

test('one CPU for everybody', async () => {
  const outcome = await succeed<Plain>('resources', 'plain', {}, { prefix: ['taskset', '-c', '0'] });
  expect(outcome.faults).toBeGreaterThan(0);
});

// Too little for a second memory, where the first one does not lie well, and too little for the workers beside two.
test.each([16, 24])('%i GiB of address space', async (gib) => {
  const prefix = ['prlimit', `--as=${gib * 1024 * MIB}`];
  const outcome = await succeed<Plain>('resources', 'plain', {}, { prefix });
  expect(outcome.faults).toBeGreaterThan(0);
});

describe('large heaps', () => {
  test.each(['recycle', 'release'])('1 GiB, %s', async (retention) => {
    const outcome = await succeed<{ alignBytes: number }>('resources', 'large', {
      options: { heap: 1024 * MIB, retention },
      live: SOAK ? 0.8 : 0.15,
    });
    expect(outcome.alignBytes).toBe(1024 * MIB);
  });
  test('1.2 GiB: windows are congruent modulo 2 MiB', async () => {
    const outcome = await succeed<{ alignBytes: number }>('resources', 'large', {
      options: { heap: 1228 * MIB, retention: 'release' },
      live: SOAK ? 0.8 : 0.4,
    });
    expect(outcome.alignBytes).toBe(2 * MIB);
  });
});

describe('memory', () => {
  const given = Object.fromEntries(
    [{}, { retention: 'release' }, { fill: 'copy' }, { collector: 'stop-the-world' }].map((options) => [
      `is back with the system after collect({ release: true }): ${JSON.stringify(options)}`,
      ['givesBack', { options }] as const,
    ]),
  );
  const back = batch<unknown>('resources', given);
  test.each(Object.keys(given))('%s', async (name) => {
    await back(name);
  });

  const shapes = ['all', 'half', 'low', 'high', 'tenth', 'none'];
  describe.each([{ retention: 'release' }, { fill: 'copy' }])('%j', (options) => {
    const peaks = Object.fromEntries(
      shapes.map((shape) => [shape, ['peaks', { shape, options, mib: 256 }] as const]),
    );
    const result = batch<{ used: number; peak: number }>('resources', peaks);
    test.each(shapes)(
      'releasing compaction of a heap with %s alive holds a tenth and 16 MiB more than is in use',
      async (shape) => {
        const { used, peak } = await result(shape);
        process.stderr.write(
          `peak ${JSON.stringify(options)} ${shape}: ${Math.round(used / MIB)} MiB in use, ${Math.round(peak / MIB)} MiB held at most\n`,
        );
        expect(peak).toBeLessThanOrEqual(used * 1.1 + 16 * MIB);
      },
    );
  });
});
