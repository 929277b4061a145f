// The worker that serves the faults of a watched mirror: says when it is ready, serves until it is told to stop, says what it did.
import { parentPort, workerData } from 'node:worker_threads';
import {
  check,
  createLibcKernel,
  type EncodedError,
  encodeError,
  FaultReader,
  serveFaults,
  UFFD_PAGEFAULT_FLAG_MINOR,
  Userfaultfd,
  type UserfaultfdKind,
  viewOf,
} from 'tospace/uffd';

const PAGE_BYTES = 4096;

export interface ServerInput {
  readonly uffd: number;
  readonly kind: UserfaultfdKind;
  readonly stop: number;
  /** The first mapping, where the server writes. */
  readonly address: number;
  /** The watched one. */
  readonly mirrorAddress: number;
  readonly bytes: number;
}

export type ServerResult =
  | {
      readonly type: 'done';
      readonly events: number;
      readonly minorEvents: number;
      readonly continued: number;
    }
  | { readonly type: 'failed'; readonly error: EncodedError };

function serve(input: ServerInput): ServerResult {
  const kernel = createLibcKernel();
  const uffd = Userfaultfd.adopt(kernel, input.uffd, input.kind);
  try {
    const reader = new FaultReader(kernel, input.uffd);
    const words = new Uint32Array(viewOf(input.address, input.bytes));
    let events = 0;
    let minorEvents = 0;
    let continued = 0;
    parentPort!.postMessage('ready');
    serveFaults({
      kernel,
      reader,
      uffdFd: input.uffd,
      stopFd: input.stop,
      idleTimeoutMs: -1,
      onFaults: (count) => {
        for (let i = 0; i < count; i++) {
          events++;
          if ((reader.flags(i) & UFFD_PAGEFAULT_FLAG_MINOR) !== 0) minorEvents++;
          const page = Math.floor((reader.address(i) - input.mirrorAddress) / PAGE_BYTES);
          words[(page * PAGE_BYTES) / 4] = page + 1;
          const done = uffd.continue(input.mirrorAddress + page * PAGE_BYTES, PAGE_BYTES);
          check(done, 'UFFDIO_CONTINUE', `mapping page ${page} of the mirror`);
          continued++;
        }
      },
    });
    return { type: 'done', events, minorEvents, continued };
  } catch (error) {
    // Somebody waits for a page that will not come: without the watch the kernel maps it as it is.
    uffd.unregister(input.mirrorAddress, input.bytes);
    return { type: 'failed', error: encodeError(error) };
  }
}

parentPort!.postMessage(serve(workerData as ServerInput));
