// The thread that has the graph, on the side "messages".
import { getHeapStatistics } from 'node:v8';
import { type MessagePort, workerData } from 'node:worker_threads';
import { serveCommands } from './commands.ts';
import type { Shape } from './content.ts';
import { GcObserver } from './gc-pauses.ts';
import type { AnswerMessage, RequestMessage } from './message-client.ts';
import { ObjectCache } from './object-cache.ts';

export interface OwnerInput {
  readonly shape: Shape;
  readonly clients: readonly MessagePort[];
}

const { shape, clients } = workerData as OwnerInput;
const pauses = new GcObserver();
let cache: ObjectCache | undefined;

function answer(requests: RequestMessage): AnswerMessage {
  const numbers: number[] = [];
  const texts: string[] = [];
  for (let i = 0; i < requests.length; i += 3) {
    if (requests[i] === 1) {
      cache!.update(requests[i + 1]!, requests[i + 2]!);
      continue;
    }
    const { seen, lastKey, updates, text } = cache!.answer(requests[i + 1]!, requests[i + 2]!);
    numbers.push(seen, lastKey, updates);
    texts.push(text);
  }
  return { numbers, texts };
}

serveCommands({
  make: () => {
    cache = new ObjectCache(shape);
    for (const client of clients)
      client.on('message', (requests: RequestMessage) => client.postMessage(answer(requests)));
  },
  pauses: () => pauses.take(),
  readAll: () => cache!.readAll(),
  v8UsedBytes: () => getHeapStatistics().used_heap_size,
});
