// Several mutators on one graph, against a sequential model, for as long as SOAK_MINUTES says: fills in turns, other options by chance.
// The first wrong value ends it, with the seed.

import { expect, test } from 'vitest';
import { type GraphOutcome, randomGraph } from '../gc/e2e/graphs.ts';
import { SEED, succeed } from '../gc/e2e/support.ts';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 1);
const SECONDS_EACH = 8;

const TIMEOUT_MS = (MINUTES + 10) * 60_000;

test(`four mutators for ${MINUTES} minutes from seed ${SEED}`, { timeout: TIMEOUT_MS }, async () => {
  const end = Date.now() + MINUTES * 60_000;
  const sum = { rounds: 0, cycles: 0, free: 0, owned: 0, faults: 0, outOfMemory: 0 };
  for (let seed = SEED; Date.now() < end; seed += 1000) {
    const fill = (seed - SEED) % 2000 === 0 ? 'continue' : 'copy';
    const config = { ...randomGraph(seed, fill), seed, seconds: SECONDS_EACH };
    process.stderr.write(`${JSON.stringify(config)}\n`);
    const outcome = await succeed<GraphOutcome>('mutators', 'graph', config, { timeoutMs: 300_000 });
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += outcome[key];
  }
  process.stderr.write(`${JSON.stringify(sum)}\n`);
  expect(sum.rounds).toBeGreaterThan(0);
});
