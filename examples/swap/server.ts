// The server thread: answers faults until it is told to stop. It must never fault itself: it touches no registered memory, and its
// system calls are handed none.
import { parentPort, workerData } from 'node:worker_threads';
import { createLibcKernel, FaultReader, injectFaults, serveFaults, Userfaultfd } from 'tospace/uffd';
import { adoptArena } from './arena.ts';
import { createCodec } from './codec.ts';
import { failStop } from './fail-stop.ts';
import { type FaultAnswer, ServingPager } from './pager.ts';
import { RegionTable } from './region.ts';
import { Counter, type PagerData } from './shared.ts';
import { SwapFile } from './swap-file.ts';

const COUNTERS: Readonly<Record<FaultAnswer, number>> = {
  loaded: Counter.LOADED,
  rescued: Counter.RESCUED,
  stale: Counter.STALE,
};

const data = workerData as PagerData;
const kernel = injectFaults(createLibcKernel(), data.injection, 'server');
const counters = new Float64Array(data.shared.counters);
const reader = new FaultReader(kernel, data.uffd.fd);

try {
  const pager = new ServingPager({
    kernel,
    uffd: Userfaultfd.adopt(kernel, data.uffd.fd, data.uffd.kind, data.uffd.features),
    table: new RegionTable(data.shared.regions),
    arenas: data.arenas.map((description) => adoptArena(kernel, description)),
    file: SwapFile.adopt(kernel, data.fileFd),
    codec: createCodec(data.codec),
  });
  parentPort?.postMessage('ready');
  serveFaults({
    kernel,
    reader,
    uffdFd: data.uffd.fd,
    stopFd: data.stopFd,
    idleTimeoutMs: -1,
    onFaults: (count) => {
      for (let i = 0; i < count; i++) {
        const start = performance.now();
        const answer = pager.fault(reader.address(i), reader.flags(i));
        counters[COUNTERS[answer]]!++;
        if (answer === 'loaded') counters[Counter.LOAD_MS]! += performance.now() - start;
      }
    },
  });
} catch (e) {
  failStop(kernel, 'fault server', e);
}
