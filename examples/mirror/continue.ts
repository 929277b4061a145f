// Because page tables are not shared, a page can be prepared through one mapping while it is missing in the other. The mirror is
// registered for MINOR faults; a touch raises an event; the server writes the page through the first mapping, where nothing faults,
// and lets UFFDIO_CONTINUE map it. This is how the collector of this package hands out compacted pages.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import {
  check,
  decodeError,
  type Kernel,
  MADV_POPULATE_WRITE,
  StopSignal,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  viewOf,
} from 'tospace/uffd';
import type { ServerInput, ServerResult } from './fault-server.ts';
import { Mirrored, type Way } from './places.ts';

const PAGE_BYTES = 4096;

export interface Continued {
  /** Pages touched through the mirror. */
  readonly touched: number;
  /** Events that the server read, and those of them that said MINOR: the page is there, only not mapped. */
  readonly events: number;
  readonly minorEvents: number;
  /** Pages that CONTINUE mapped. */
  readonly continued: number;
  /** Every touch found what the server had written while the toucher waited. */
  readonly sawServersBytes: boolean;
}

/** Touches `pages` pages of a watched mirror. @throws TospaceError also what the server could not do */
export async function showContinue(kernel: Kernel, way: Way, pages: number): Promise<Continued> {
  const bytes = pages * PAGE_BYTES;
  using memory = Mirrored.create(kernel, bytes);
  check(kernel.madvise(memory.address, bytes, MADV_POPULATE_WRITE), 'madvise', `touching ${bytes} bytes`);
  memory.mirror(way);
  using uffd = Userfaultfd.open(kernel);
  using stop = StopSignal.create(kernel);
  uffd.register(memory.mirrorAddress, bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
  const input: ServerInput = {
    uffd: uffd.fd,
    kind: uffd.kind,
    stop: stop.fd,
    address: memory.address,
    mirrorAddress: memory.mirrorAddress,
    bytes,
  };
  const server = new Worker(new URL('./fault-server.js', import.meta.url), { workerData: input });
  const exit = once(server, 'exit');
  // Until it is ready nothing is touched: who waits for a page cannot wait for a message.
  const [first] = (await once(server, 'message')) as ['ready' | ServerResult];
  if (first !== 'ready') throw failure(first);
  const reported = once(server, 'message') as Promise<[ServerResult]>;
  const words = new Uint32Array(viewOf(memory.mirrorAddress, bytes));
  let sawServersBytes = true;
  for (let page = 0; page < pages; page++) sawServersBytes &&= words[(page * PAGE_BYTES) / 4] === page + 1;
  stop.signal();
  const [result] = await reported;
  await exit;
  uffd.unregister(memory.mirrorAddress, bytes);
  if (result.type === 'failed') throw failure(result);
  return {
    touched: pages,
    events: result.events,
    minorEvents: result.minorEvents,
    continued: result.continued,
    sawServersBytes,
  };
}

function failure(result: ServerResult): Error {
  return result.type === 'failed'
    ? decodeError(result.error)
    : new Error('the fault server ended before it began');
}
