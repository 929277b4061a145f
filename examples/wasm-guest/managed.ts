// The guest on a managed heap, and a thread that collects it without a pause for breath.
import { Worker } from 'node:worker_threads';
import { createHeap, type Heap, type Mutator, NULL, type RecordType } from 'tospace';
import { type Guest, type GuestTypes, instantiate, LAYOUTS, type Program } from './guest.ts';

export interface ManagedOptions {
  readonly heapBytes: number;
  readonly verify: boolean;
}

export class ManagedHost {
  readonly heap: Heap;
  readonly #mutator: Mutator;
  readonly #guest: Guest;
  readonly #node: RecordType;

  private constructor(heap: Heap, module: WebAssembly.Module) {
    this.heap = heap;
    this.#mutator = heap.attach({ name: 'guest' });
    const { node, entry } = LAYOUTS;
    const types: GuestTypes = {
      node: heap.defineRecordLayout('node', node.bytes, node.references),
      entry: heap.defineRecordLayout('entry', entry.bytes, entry.references),
      table: heap.defineRefArray('table').id,
    };
    this.#node = heap.defineRecord('touch', { left: 'ref', right: 'ref' });
    const { memory, functions } = this.#mutator.guest;
    this.#guest = instantiate(module, memory, functions, types);
  }

  static async create(
    module: WebAssembly.Module,
    { heapBytes, verify }: ManagedOptions,
  ): Promise<ManagedHost> {
    const heap = await createHeap({
      heap: heapBytes,
      minHeap: heapBytes,
      verify: verify ? 'full' : 'off',
      idleCollectMs: 0,
      trigger: 0.9,
    });
    try {
      return new ManagedHost(heap, module);
    } catch (error) {
      await heap.close();
      throw error;
    }
  }

  /** Runs a program as a mutator; whatever way it ends, its frames are released. */
  run(program: Program): number {
    const mutator = this.#mutator;
    return mutator.run(() => mutator.scope(() => program.run(this.#guest)));
  }

  /** Collects, and touches the `bytes` that will be allocated next: what the kernel does on a first touch is not the guest's doing. */
  prepare(bytes: number): void {
    const mutator = this.#mutator;
    mutator.run(() => {
      mutator.collect();
      const ref = mutator.allocate(this.#node);
      const { u8 } = mutator;
      let sum = 0;
      for (let at = ref + 4096; at < ref + bytes; at += 4096) sum += u8[at]!;
      if (sum < 0 || ref === NULL) throw new Error('bytes are not negative');
    });
  }

  /** Lets another thread run one collection after the other while `body` runs. */
  async whileCollecting<T>(body: () => T): Promise<T> {
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./collecting.js', import.meta.url), {
      workerData: { shared: this.heap.share(), stop },
    });
    const exit = new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => resolve());
    });
    // Not before it collects: the worker says so when it has attached.
    await Promise.race([new Promise((resolve) => worker.once('message', resolve)), exit]);
    try {
      return body();
    } finally {
      Atomics.store(stop, 0, 1);
      await exit;
    }
  }

  async close(): Promise<void> {
    this.#mutator.detach();
    await this.heap.close();
  }
}
