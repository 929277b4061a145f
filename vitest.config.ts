import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A process for every file: tests map memory at addresses of their own, and a process can be killed where a thread cannot.
    pool: 'forks',
    // Most files wait for processes of their own most of the time: one at a time, as it would be on two CPUs, leaves the machine idle.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 5_000,
  },
});
