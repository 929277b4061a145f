// Random histories of weak records, ephemerons and guards for as long as SOAK_MINUTES says, over the configurations that chance chooses.

import { expect, test } from 'vitest';
import { randomHistory } from '../gc/e2e/configurations.ts';
import { pool, SEED, succeed } from '../gc/e2e/support.ts';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const LANES = Number(process.env.SOAK_LANES ?? 2);

const TIMEOUT_MS = (MINUTES + 30) * 60_000;

test(`reference histories for ${MINUTES} minutes from seed ${SEED}`, { timeout: TIMEOUT_MS }, async () => {
  const end = Date.now() + MINUTES * 60_000;
  const failures: string[] = [];
  let seed = SEED;
  let runs = 0;
  const lane = async (): Promise<void> => {
    while (Date.now() < end) {
      const mine = seed++;
      const { options, threads, steps } = randomHistory(mine, 1);
      const config = { options, threads, steps: Math.min(steps, 8000), filler: 200, seed: mine };
      try {
        await succeed('reference-history', 'references', config, { timeoutMs: 600_000 });
        runs++;
      } catch (error) {
        const text = `seed ${mine}: ${(error as Error).message}`;
        failures.push(text);
        process.stderr.write(`${text}\n`);
      }
    }
  };
  await pool(
    Array.from({ length: LANES }, () => lane),
    LANES,
  );
  process.stderr.write(`${runs} histories passed, ${failures.length} failed\n`);
  expect(failures).toEqual([]);
});
