// A thread that faults: touches one word of every page of the window when told to, reports what it saw, and stops the server.
import { parentPort, workerData } from 'node:worker_threads';
import { createLibcKernel, StopSignal } from '#src/uffd/index.js';

const { memory, pages, pageBytes, stopFd, write } = workerData;
const kernel = createLibcKernel();
const words = new Int32Array(memory.buffer);

parentPort.once('message', () => {
  const seen = [];
  for (let p = 0; p < pages; p++) {
    const index = (p * pageBytes) / 4;
    // The store comes first, so that the fault is a write fault; it must not be lost when the page is installed.
    if (write) words[index + 1] = 2000 + p;
    seen.push(Atomics.load(words, index));
  }
  parentPort.postMessage({ seen, tid: kernel.gettid() });
  StopSignal.adopt(kernel, stopFd).signal();
});
parentPort.postMessage('ready');
