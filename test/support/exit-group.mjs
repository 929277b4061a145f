// A worker blocks in poll for ever; the main thread ends the process all the same.
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { createLibcKernel } from '#src/uffd/index.js';

const kernel = createLibcKernel();
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.once('message', () => setTimeout(() => kernel.exitGroup(7), 50));
} else {
  parentPort.postMessage('blocking');
  kernel.poll(new Int32Array(2), 0, -1);
}
