// The thread of an Actor: carries out one command at a time, told and answered through shared memory, because the thread that
// commands it must not need its event loop while this one is blocked in a fault. The layout is that of actors.ts.
import { workerData } from 'node:worker_threads';
import { createLibcKernel, viewOf } from '#src/uffd/index.js';

const { control, numbers } = workerData;
const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const [STATE, OPERATION, THREAD_ID] = [0, 1, 2];
const [READY, POSTED, DONE] = [1, 2, 3];

/** The word at an address, for one access: a fault is taken where the caller indexes. */
const wordAt = (address) => {
  const offset = address % PAGE;
  return [new Int32Array(viewOf(address - offset, PAGE)), Math.floor(offset / 4)];
};

const operations = [
  function load(address) {
    const [words, index] = wordAt(address);
    return words[index];
  },
  function store(address, value) {
    const [words, index] = wordAt(address);
    words[index] = value;
    return value;
  },
  function syscall(...args) {
    return kernel.syscall(...args);
  },
];

Atomics.store(control, THREAD_ID, kernel.gettid());
Atomics.store(control, STATE, READY);
Atomics.notify(control, STATE);
for (;;) {
  const state = Atomics.load(control, STATE);
  if (state !== POSTED) {
    Atomics.wait(control, STATE, state);
    continue;
  }
  const count = numbers[0];
  numbers[1] = operations[Atomics.load(control, OPERATION)](...numbers.subarray(2, 2 + count));
  Atomics.store(control, STATE, DONE);
  Atomics.notify(control, STATE);
}
