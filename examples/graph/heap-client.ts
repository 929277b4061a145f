// A thread of the side "shared heap": it attaches to the heap, and finds the cache there.
import { attachHeap, type RunBody, type SharedHeap } from 'tospace';
import { type Client, DirectClient } from './client.ts';
import { HeapCache, type SharedCache } from './heap-cache.ts';
import type { RequestStream } from './requests.ts';

export interface HeapClientInput {
  readonly side: 'heap';
  readonly shared: SharedHeap;
  readonly cache: SharedCache;
}

export function heapClient(
  { shared, cache: sharedCache }: HeapClientInput,
  stream: RequestStream,
  thread: number,
  threads: number,
): Client {
  const { mutator, cache } = HeapCache.attach(attachHeap(shared), sharedCache, `graph ${thread}`);
  return new DirectClient(stream, {
    cache,
    get retries() {
      return cache.retries;
    },
    run: (slice) => cache.run(slice as RunBody<ReturnType<typeof slice>>),
    make: () => cache.run(() => cache.build(thread, threads)),
    link: () => cache.run(() => cache.link(thread, threads)),
    exchange: () => {},
    reads: thread === 0,
    close: () => mutator.detach(),
  });
}
