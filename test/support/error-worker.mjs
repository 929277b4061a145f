// Provokes an error of the real kernel in a worker and posts it, encoded and bare.
import { parentPort } from 'node:worker_threads';
import { check, createLibcKernel, encodeError } from '#src/uffd/index.js';

try {
  check(createLibcKernel().fallocate(-1, 0, 0, 4096), 'fallocate', 'filling nothing');
} catch (e) {
  parentPort.postMessage({ encoded: encodeError(e), bare: e });
}
