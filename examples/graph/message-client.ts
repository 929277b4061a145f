// A thread of the side "messages": the graph is in another thread, its owner. Requests go there in messages, several in one, and
// answers come back as structured clones. Both are arrays of numbers and strings, which V8 writes and reads much faster than objects.
import type { MessagePort } from 'node:worker_threads';
import { monotonicMs } from '../support/monotonic.ts';
import type { Latencies } from '../support/latencies.ts';
import type { Client, ClientReport } from './client.ts';
import { isText, textSeed } from './content.ts';
import { addAnswer } from './model.ts';
import type { RequestStream } from './requests.ts';

export interface MessageClientInput {
  readonly side: 'messages';
  readonly owner: MessagePort;
  /** Requests in one message where there are more. */
  readonly batch: number;
}

/** Requests: three numbers each, the first 1 for an update and 0 for a walk, then the key and the argument. */
export type RequestMessage = number[];

/** The answers of the walks in a message: three numbers each, what was seen, the last key and its updates; and a text each. */
export interface AnswerMessage {
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
}

interface Sent {
  readonly sinceMs: number;
  readonly count: number;
  readonly latencies: Latencies;
}

export class MessageClient implements Client {
  readonly #stream: RequestStream;
  readonly #owner: MessagePort;
  readonly #batch: number;
  /** Not answered yet, in the order in which they will be. */
  readonly #sent: Sent[] = [];
  #onAnswer: () => void = () => {};
  #requests = 0;
  #answers = 0;
  #wrong = 0;

  constructor({ owner, batch }: MessageClientInput, stream: RequestStream) {
    this.#stream = stream;
    this.#owner = owner;
    this.#batch = batch;
    owner.on('message', (message: AnswerMessage) => this.#answered(message));
  }

  make(): void {}

  link(): void {}

  burst(count: number, dueMs: number, latencies: Latencies): void {
    const requests: RequestMessage = [];
    for (let i = 0; i < count; i++) {
      this.#stream.advance();
      requests.push(this.#stream.isUpdate ? 1 : 0, this.#stream.key, this.#stream.argument);
    }
    this.#requests += count;
    this.#sent.push({ sinceMs: dueMs, count, latencies });
    this.#owner.postMessage(requests);
  }

  async flood(count: number, forMs: number, latencies: Latencies): Promise<void> {
    let now = monotonicMs();
    const untilMs = now + forMs;
    let left = count;
    do {
      const requests = Math.min(left, this.#batch);
      left -= requests;
      this.burst(requests, now, latencies);
      await this.settle();
      now = monotonicMs();
    } while (left > 0 && now < untilMs);
  }

  async settle(): Promise<void> {
    while (this.#sent.length > 0)
      await new Promise<void>((resolve) => {
        this.#onAnswer = resolve;
      });
  }

  report(): ClientReport {
    return { requests: this.#requests, answers: this.#answers >>> 0, wrong: this.#wrong, retries: 0 };
  }

  readAll(): undefined {
    return undefined;
  }

  close(): void {
    this.#owner.close();
  }

  #answered({ numbers, texts }: AnswerMessage): void {
    const { sinceMs, count, latencies } = this.#sent.shift()!;
    for (let i = 0; i < texts.length; i++) {
      this.#answers = addAnswer(this.#answers, numbers[3 * i]!);
      if (!isText(textSeed(numbers[3 * i + 1]!, numbers[3 * i + 2]!), texts[i]!)) this.#wrong++;
    }
    latencies.record(monotonicMs() - sinceMs, count);
    this.#onAnswer();
  }
}
