// Runs the swap example with injected faults or a limited file size, and prints its report as one line of JSON.
//
// swap-child <options as JSON> <injection plan as JSON> <least counts as JSON: it runs on until they are reached> [<largest file in bytes>]
import { addressOf, createLibcKernel } from '#src/uffd/index.js';
import { DEFAULTS } from '#examples/swap/options.js';
import { runSwap } from '#examples/swap/swap.js';

const SYS_PRLIMIT64 = 302;
const RLIMIT_FSIZE = 1;

const [options, plan, least, limit] = process.argv.slice(2);
const errors = [];
const listener = {
  onEvictionError: (error) => {
    errors.push(error);
  },
  mayEnd: (counts) => Object.entries(JSON.parse(least)).every(([name, count]) => counts[name] >= count),
};
// As a full disk, without root: a write beyond the limit is cut short, and the next one fails with EFBIG. The limit concerns the size of
// memory files, too, so it comes with the first turn of the event loop, when runSwap has made them and waits for its threads.
if (limit !== undefined) {
  // Without a handler the signal would end the process before the errno is seen.
  process.on('SIGXFSZ', () => {});
  setTimeout(() => {
    const limits = new BigUint64Array([BigInt(limit), BigInt(limit)]);
    const result = createLibcKernel().syscall(SYS_PRLIMIT64, 0, RLIMIT_FSIZE, addressOf(limits), 0);
    if (result !== 0) throw new Error(`prlimit: ${result}`);
  }, 0);
}
const report = await runSwap({ ...DEFAULTS, ...JSON.parse(options) }, listener, JSON.parse(plan));
process.stdout.write(`${JSON.stringify({ report, errors })}\n`);
