// A thread that sends requests, on any side.
import { getHeapStatistics } from 'node:v8';
import { type MessagePort, workerData } from 'node:worker_threads';
import { Latencies, type LatencyCounts } from '../support/latencies.ts';
import { monotonicMs } from '../support/monotonic.ts';
import type { Client } from './client.ts';
import { serveCommands } from './commands.ts';
import type { Shape } from './content.ts';
import { copyClient, type CopyClientInput } from './copy-client.ts';
import { GcObserver } from './gc-pauses.ts';
import { heapClient, type HeapClientInput } from './heap-client.ts';
import { MessageClient, type MessageClientInput } from './message-client.ts';
import { RequestStream } from './requests.ts';

export interface ClientInput {
  readonly thread: number;
  readonly threads: number;
  readonly seed: number;
  readonly shape: Shape;
  /** Says when requests are due, in the phase at a fixed rate. */
  readonly metronome: MessagePort;
  readonly side: HeapClientInput | CopyClientInput | MessageClientInput;
}

/** Requests up to a number and for so long from the thread's own first one, one after the other. */
export interface FloodCommand {
  readonly count: number;
  readonly forMs: number;
}

/** So many ticks of the metronome, with so many requests due at each. */
export interface PacedCommand {
  readonly ticks: number;
  readonly burst: number;
}

export interface PhaseReport {
  readonly elapsedMs: number;
  readonly requests: number;
  readonly latencies: LatencyCounts;
}

const { thread, threads, seed, shape, metronome, side } = workerData as ClientInput;
const pauses = new GcObserver();
const client = createClient();

function createClient(): Client {
  const stream = new RequestStream(seed, thread, shape);
  if (side.side === 'heap') return heapClient(side, stream, thread, threads);
  return side.side === 'copies' ? copyClient(side, stream, shape) : new MessageClient(side, stream);
}

async function phase(run: (latencies: Latencies) => Promise<void>): Promise<PhaseReport> {
  const latencies = new Latencies();
  const { requests } = client.report();
  const start = monotonicMs();
  await run(latencies);
  const elapsedMs = monotonicMs() - start;
  return { elapsedMs, requests: client.report().requests - requests, latencies: latencies.counts() };
}

async function paced({ ticks, burst }: PacedCommand, latencies: Latencies): Promise<void> {
  let left = ticks;
  await new Promise<void>((resolve, reject) => {
    const onTick = (dueMs: number): void => {
      try {
        client.burst(burst, dueMs, latencies);
        if (--left > 0) return;
        metronome.off('message', onTick);
        resolve();
      } catch (error) {
        reject(error as Error);
      }
    };
    metronome.on('message', onTick);
  });
  await client.settle();
}

serveCommands({
  make: () => client.make(),
  link: () => client.link(),
  flood: ({ count, forMs }: FloodCommand) => phase((latencies) => client.flood(count, forMs, latencies)),
  paced: (command: PacedCommand) => phase((latencies) => paced(command, latencies)),
  settle: () => client.settle(),
  report: () => client.report(),
  pauses: () => pauses.take(),
  readAll: () => client.readAll(),
  v8UsedBytes: () => getHeapStatistics().used_heap_size,
  close: () => client.close(),
});
