// A server that blocks in poll without a timeout, as servers do between cycles.
import { parentPort, workerData } from 'node:worker_threads';
import { createLibcKernel, FaultReader, serveFaults } from '#src/uffd/index.js';

const kernel = createLibcKernel();
const { uffdFd, stopFd } = workerData;
const reader = new FaultReader(kernel, uffdFd);
parentPort.postMessage('ready');
parentPort.postMessage(serveFaults({ kernel, reader, uffdFd, stopFd, idleTimeoutMs: -1, onFaults() {} }));
