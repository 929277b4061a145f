// Makes three calls under the plan that it was sent.
import { parentPort, workerData } from 'node:worker_threads';
import { createLibcKernel, injectFaults } from '#src/uffd/index.js';

const kernel = injectFaults(createLibcKernel(), workerData, 'worker');
parentPort.postMessage([1, 2, 3].map(() => kernel.munmap(4096, 4096)));
