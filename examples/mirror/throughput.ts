// A producer and a consumer over mirrored rings and over a plain one, in turns.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { decodeError, type Kernel, viewOf } from 'tospace/uffd';
import { type Spread, spreadOf } from '../support/samples.ts';
import { createControl, type Pass, produce, spanOf } from './channel.ts';
import type { ConsumerAnswer } from './consumer.ts';
import { Mirrored } from './places.ts';

/** By `mremap`, by `mmap`: mirrored rings. `twoParts`: a plain ring, whose straddling records are copied in two parts. */
export const RINGS = ['mremap', 'mmap', 'twoParts'] as const;
export type Ring = (typeof RINGS)[number];

export interface Throughput {
  readonly meanBytes: number;
  readonly records: number;
  /** Part of the records that go past the end of the ring. */
  readonly straddling: number;
  /** Payload that went through, in MiB per second of the producer's clock; every byte was compared by the consumer. */
  readonly mibPerSecond: Readonly<Record<Ring, Spread>>;
}

/**
 * Sends about `passBytes` of records through each ring in each round.
 * @param ringBytes a power of two, at least three times `meanBytes`
 * @throws Error when a record arrives damaged
 */
export async function measureThroughput(
  kernel: Kernel,
  ringBytes: number,
  meanBytes: number,
  passBytes: number,
  rounds: number,
): Promise<Throughput> {
  const consumer = new Worker(new URL('./consumer.js', import.meta.url));
  const records = Math.max(1, Math.round(passBytes / meanBytes));
  const speeds: Record<Ring, number[]> = { mremap: [], mmap: [], twoParts: [] };
  let straddling = 0;
  try {
    await once(consumer, 'online');
    for (let round = 0; round <= rounds; round++) {
      for (let i = 0; i < RINGS.length; i++) {
        const ring = RINGS[(i + round) % RINGS.length]!;
        using memory = Mirrored.create(kernel, ringBytes);
        if (ring !== 'twoParts') memory.mirror(ring);
        const pass: Pass = {
          address: memory.address,
          ringBytes,
          layout: ring === 'twoParts' ? 'plain' : 'mirrored',
          meanBytes,
          records,
          control: createControl(),
        };
        const answered = once(consumer, 'message') as Promise<[ConsumerAnswer]>;
        consumer.postMessage(pass);
        const { produced, error } = attempt(() => produce(pass, viewOf(memory.address, spanOf(pass))));
        const [answer] = await answered;
        // The consumer knows better than the producer what went wrong.
        if (answer.type === 'failed') throw decodeError(answer.error);
        if (produced === undefined) throw error;
        straddling = produced.straddling / records;
        // The first round compiles the code of both threads.
        if (round > 0) speeds[ring].push(produced.payloadBytes / 2 ** 20 / produced.seconds);
      }
    }
  } finally {
    await consumer.terminate();
  }
  return {
    meanBytes,
    records,
    straddling: Number(straddling.toPrecision(3)),
    mibPerSecond: {
      mremap: spreadOf(speeds.mremap),
      mmap: spreadOf(speeds.mmap),
      twoParts: spreadOf(speeds.twoParts),
    },
  };
}

function attempt<T>(work: () => T): { readonly produced?: T; readonly error?: unknown } {
  try {
    return { produced: work() };
  } catch (error) {
    return { error };
  }
}
