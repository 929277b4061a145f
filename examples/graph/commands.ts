// How the main thread of a side talks to its threads: one command, one answer, in order.
import { once } from 'node:events';
import { parentPort, type TransferListItem, Worker } from 'node:worker_threads';
import { decodeError, type EncodedError, encodeError } from 'tospace/uffd';

type Answer = { readonly value: unknown } | { readonly error: EncodedError };

/** In a thread: answers commands by the functions of their names. */
export function serveCommands(commands: Readonly<Record<string, (argument: never) => unknown>>): void {
  parentPort!.on('message', async ({ command, argument }: { command: string; argument: unknown }) => {
    let answer: Answer;
    try {
      answer = { value: await commands[command]!(argument as never) };
    } catch (error) {
      answer = { error: encodeError(error) };
    }
    parentPort!.postMessage(answer);
  });
}

/** A thread, as the main thread sees it. */
export class CommandedThread {
  readonly #worker: Worker;
  /** Rejects when the thread is over: nobody waits for an answer that cannot come. */
  readonly #over: Promise<never>;

  /** @param limitMib of its V8 heap; V8's default where it holds nothing large */
  constructor(
    file: string,
    workerData: unknown,
    transferList: readonly TransferListItem[],
    limitMib?: number,
  ) {
    this.#worker = new Worker(new URL(file, import.meta.url), {
      workerData,
      transferList: [...transferList],
      ...(limitMib === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: limitMib } }),
    });
    this.#over = once(this.#worker, 'exit').then(([status]) => {
      throw new Error(`a thread of the example ended with status ${status}`);
    });
    // When it ends because it should, nobody asks.
    this.#over.catch(() => {});
  }

  /** @throws what the command threw in the thread, or what ended the thread */
  async ask<T>(command: string, argument?: unknown): Promise<T> {
    const message = once(this.#worker, 'message');
    this.#worker.postMessage({ command, argument });
    const [answer] = (await Promise.race([message, this.#over])) as [Answer];
    if ('error' in answer) throw decodeError(answer.error);
    return answer.value as T;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
