// What a thread that sends requests does, on every side; the sides differ in how a request reaches the cache.
import { monotonicMs } from '../support/monotonic.ts';
import type { Latencies } from '../support/latencies.ts';
import type { Cache, StateReport } from './cache.ts';
import { addAnswer } from './model.ts';
import type { RequestStream } from './requests.ts';

/** Requests after which a thread that has its cache at hand lets others in: collectors, and messages of other threads. */
const SLICE = 256;

export interface ClientReport {
  /** Requests made since the thread began. */
  readonly requests: number;
  /** Checksum of all answers. */
  readonly answers: number;
  /** Answers that were wrong. */
  readonly wrong: number;
  /** Updates that began again because another thread was faster. */
  readonly retries: number;
}

export interface Client {
  /** Makes this thread's part of the graph, in two steps: in between, all threads have done the first. */
  make(): void;
  link(): void;
  /** Makes requests that became due at `dueMs`. Does not wait for their answers, where these come by themselves. */
  burst(count: number, dueMs: number, latencies: Latencies): void;
  /** Makes requests one after the other, up to a number and for so long, but at least one. */
  flood(count: number, forMs: number, latencies: Latencies): Promise<void>;
  /** Waits until everything has been answered, and all that others have sent is in. */
  settle(): Promise<void>;
  report(): ClientReport;
  /** Reads the whole graph; undefined where another thread does. */
  readAll(): StateReport | undefined;
  close(): void;
}

/** What a side adds to a client that has its cache at hand. */
export interface DirectHost {
  readonly cache: Cache;
  readonly retries: number;
  /** Runs a slice of requests; returns when others may have been let in. */
  run<T>(slice: () => T): T;
  make(): void;
  link(): void;
  /** Lets in what other threads have sent. */
  exchange(): void;
  /** Whether this thread is to read the graph for all. */
  readonly reads: boolean;
  close(): void;
}

/** A thread that has the cache at hand: requests are calls. */
export class DirectClient implements Client {
  readonly #stream: RequestStream;
  readonly #host: DirectHost;
  #requests = 0;
  #answers = 0;

  constructor(stream: RequestStream, host: DirectHost) {
    this.#stream = stream;
    this.#host = host;
  }

  make(): void {
    this.#host.make();
  }

  link(): void {
    this.#host.link();
  }

  burst(count: number, dueMs: number, latencies: Latencies): void {
    this.#host.run(() => {
      for (let i = 0; i < count; i++) {
        this.#perform();
        latencies.record(monotonicMs() - dueMs);
      }
    });
    this.#host.exchange();
  }

  async flood(count: number, forMs: number, latencies: Latencies): Promise<void> {
    const untilMs = monotonicMs() + forMs;
    let left = count;
    do {
      const slice = Math.min(left, SLICE);
      left -= slice;
      let last = monotonicMs();
      this.#host.run(() => {
        for (let i = 0; i < slice; i++) {
          this.#perform();
          const now = monotonicMs();
          latencies.record(now - last);
          last = now;
        }
      });
      this.#host.exchange();
    } while (left > 0 && monotonicMs() < untilMs);
  }

  async settle(): Promise<void> {
    this.#host.exchange();
  }

  report(): ClientReport {
    const { cache, retries } = this.#host;
    return { requests: this.#requests, answers: this.#answers >>> 0, wrong: cache.wrong, retries };
  }

  readAll(): StateReport | undefined {
    const { reads, cache } = this.#host;
    return reads ? this.#host.run(() => cache.readAll()) : undefined;
  }

  close(): void {
    this.#host.close();
  }

  #perform(): void {
    const stream = this.#stream;
    stream.advance();
    this.#requests++;
    if (stream.isUpdate) this.#host.cache.update(stream.key, stream.argument);
    else this.#answers = addAnswer(this.#answers, this.#host.cache.walk(stream.key, stream.argument));
  }
}
