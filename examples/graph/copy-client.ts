// A thread of the side "a copy in each thread": it has the whole graph to itself, and sends its updates to all others, some at a time.
// Updates commute, so all copies become equal in the end; until then, threads see each other's updates late.
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Cache } from './cache.ts';
import { type Client, DirectClient } from './client.ts';
import type { Shape } from './content.ts';
import { ObjectCache } from './object-cache.ts';
import type { RequestStream } from './requests.ts';

export interface CopyClientInput {
  readonly side: 'copies';
  /** To every other thread. */
  readonly peers: readonly MessagePort[];
}

export function copyClient({ peers }: CopyClientInput, stream: RequestStream, shape: Shape): Client {
  let copy: ObjectCache | undefined;
  /** Updates that the others have not been told of: a key and what is added, in turns. */
  let untold: number[] = [];
  const graph = (): ObjectCache => {
    copy ??= new ObjectCache(shape);
    return copy;
  };
  const cache: Cache = {
    walk: (key, path) => graph().walk(key, path),
    update: (key, delta) => {
      graph().update(key, delta);
      untold.push(key, delta);
    },
    get wrong() {
      return graph().wrong;
    },
    readAll: () => graph().readAll(),
  };
  const exchange = (): void => {
    if (untold.length > 0) {
      for (const peer of peers) peer.postMessage(untold);
      untold = [];
    }
    for (const peer of peers) {
      for (let got = receiveMessageOnPort(peer); got !== undefined; got = receiveMessageOnPort(peer)) {
        const updates = got.message as number[];
        for (let i = 0; i < updates.length; i += 2) graph().update(updates[i]!, updates[i + 1]!);
      }
    }
  };
  return new DirectClient(stream, {
    cache,
    retries: 0,
    run: (slice) => slice(),
    make: () => {
      graph();
    },
    link: () => {},
    exchange,
    reads: true,
    close: () => {},
  });
}
