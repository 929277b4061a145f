// The other thread: collects until it is told to stop.
import { parentPort, workerData } from 'node:worker_threads';
import { attachHeap, type SharedHeap } from 'tospace';

const { shared, stop } = workerData as { shared: SharedHeap; stop: Int32Array };
const mutator = attachHeap(shared).attach({ name: 'collecting' });
parentPort!.postMessage('attached');
while (Atomics.load(stop, 0) === 0) mutator.run(() => mutator.collect());
mutator.detach();
