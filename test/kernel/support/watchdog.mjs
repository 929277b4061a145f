// Ends the process when its main thread has been stuck for too long: a thread that is blocked in a fault cannot be terminated,
// and a main thread that is blocked cannot even notice the time limit of a test.
import { workerData } from 'node:worker_threads';
import { createLibcKernel } from '#src/uffd/index.js';

const { beat, started, limitMs } = workerData;
const kernel = createLibcKernel();
Atomics.store(started, 0, 1);
for (;;) {
  const before = Atomics.load(beat, 0);
  if (Atomics.wait(beat, 0, before, limitMs) !== 'timed-out') continue;
  const message = Buffer.from(`the main thread has been blocked for ${limitMs} ms: ending the process\n`);
  kernel.write(2, message, message.length);
  kernel.exitGroup(70);
}
