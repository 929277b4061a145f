import { defineConfig } from 'vitest/config';

// Soaks: `npm run soak`. SOAK_MINUTES says for how long (default 10), SEED where to begin.
export default defineConfig({
  test: {
    include: ['test/soak/**/*.soak.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 24 * 3_600_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
});
