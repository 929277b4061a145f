// The sides of the comparison: what each is made of.
import { getHeapStatistics } from 'node:v8';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { createHeap, type HeapStatistics } from 'tospace';
import type { ClientInput } from './client-thread.ts';
import { CommandedThread } from './commands.ts';
import { createHeapCache } from './heap-cache.ts';
import { type GraphOptions, heapOptions, v8LimitMib } from './options.ts';
import type { OwnerInput } from './owner.ts';

export const SIDE_NAMES = ['heap', 'messages', 'copies'] as const;
export type SideName = (typeof SIDE_NAMES)[number];

export const SIDE_TITLES: Readonly<Record<SideName, string>> = {
  heap: 'shared heap',
  messages: 'V8, messages to an owner',
  copies: 'V8, a copy in each thread',
};

export interface Side {
  readonly clients: readonly CommandedThread[];
  /** Has the graph, where the clients have not. */
  readonly owner: CommandedThread | undefined;
  stats(): HeapStatistics | undefined;
  close(): Promise<void>;
}

type ClientSide = { readonly input: ClientInput['side']; readonly ports: readonly MessagePort[] };

/** Starts the threads of a side; nothing is built yet. @param metronome one port for each client */
export function openSide(
  name: SideName,
  options: GraphOptions,
  metronome: readonly MessagePort[],
): Promise<Side> {
  if (name === 'heap') return openHeap(options, metronome);
  return Promise.resolve(
    name === 'messages' ? openMessages(options, metronome) : openCopies(options, metronome),
  );
}

function startClients(
  { threads, seed, entries, skew }: GraphOptions,
  metronome: readonly MessagePort[],
  side: (thread: number) => ClientSide,
): CommandedThread[] {
  return metronome.map((port, thread) => {
    const { input, ports } = side(thread);
    const workerData: ClientInput = {
      thread,
      threads,
      seed,
      shape: { entries, skew },
      metronome: port,
      side: input,
    };
    const limitMib = input.side === 'copies' ? v8LimitMib(entries) : undefined;
    return new CommandedThread('./client-thread.js', workerData, [port, ...ports], limitMib);
  });
}

async function openHeap(options: GraphOptions, metronome: readonly MessagePort[]): Promise<Side> {
  const heap = await createHeap(heapOptions(options));
  // This thread never touches the graph. It holds the handle of the index.
  const mutator = heap.attach({ name: 'graph main' });
  const cache = createHeapCache(heap, mutator, options);
  const shared = heap.share();
  const clients = startClients(options, metronome, () => ({
    input: { side: 'heap', shared, cache },
    ports: [],
  }));
  return {
    clients,
    owner: undefined,
    stats: () => heap.stats(),
    close: async () => {
      for (const client of clients) await client.ask('close');
      for (const client of clients) await client.end();
      await heap.close();
    },
  };
}

function openMessages(options: GraphOptions, metronome: readonly MessagePort[]): Side {
  const channels = metronome.map(() => new MessageChannel());
  const ownerPorts = channels.map(({ port1 }) => port1);
  const { entries, skew } = options;
  const ownerData: OwnerInput = { shape: { entries, skew }, clients: ownerPorts };
  const owner = new CommandedThread('./owner.js', ownerData, ownerPorts, v8LimitMib(entries));
  const clients = startClients(options, metronome, (thread) => {
    const port = channels[thread]!.port2;
    return { input: { side: 'messages', owner: port, batch: options.batch }, ports: [port] };
  });
  return withoutHeap(clients, owner);
}

function openCopies(options: GraphOptions, metronome: readonly MessagePort[]): Side {
  const peers: MessagePort[][] = metronome.map(() => []);
  for (let a = 0; a < peers.length; a++) {
    for (let b = 0; b < a; b++) {
      const { port1, port2 } = new MessageChannel();
      peers[a]!.push(port1);
      peers[b]!.push(port2);
    }
  }
  const clients = startClients(options, metronome, (thread) => ({
    input: { side: 'copies', peers: peers[thread]! },
    ports: peers[thread]!,
  }));
  return withoutHeap(clients, undefined);
}

function withoutHeap(clients: readonly CommandedThread[], owner: CommandedThread | undefined): Side {
  return {
    clients,
    owner,
    stats: () => undefined,
    close: async () => {
      for (const thread of owner === undefined ? clients : [...clients, owner]) await thread.end();
    },
  };
}

/** What V8 uses in all threads of a side, this one included, what is garbage already included too. */
export async function v8UsedBytes({ clients, owner }: Side): Promise<number> {
  const threads = owner === undefined ? clients : [...clients, owner];
  const used = await Promise.all(threads.map((thread) => thread.ask<number>('v8UsedBytes')));
  return used.reduce((sum, bytes) => sum + bytes, getHeapStatistics().used_heap_size);
}
