// Programs of guest.test.ts.
import { readFileSync } from 'node:fs';
import { createHeap, GUEST_MODULE, TospaceError } from 'tospace';
import { runGuest } from '../../../../dist/bench/guest/run.js';

const MIB = 1024 * 1024;
const [, , scenario, json] = process.argv;
const config = JSON.parse(json);

/** What a call threw: code and message. */
function thrown(body) {
  try {
    body();
  } catch (error) {
    if (error instanceof TospaceError) return { code: error.code, message: error.message };
    return { code: error.constructor.name, message: error.message };
  }
  return { code: 'nothing', message: '' };
}

async function withHeap(options, body) {
  const heap = await createHeap(options);
  try {
    return body(heap);
  } finally {
    await heap.close();
  }
}

/** Every operation begins with a safepoint, as under an open load. */
function runWorkload(name, heap, mutator, scale, end = () => {}) {
  const operations = { begin: () => mutator.safepoint(), end };
  const context = { heap, mutator, seed: 7, scale, operations, progress() {} };
  return mutator.run(() => runGuest(name, context));
}

/** Functions of the ABI that do not do what they should, by what references finds. */
const LIES = {
  weakLost: () => ({ getWeak: () => 0 }),
  valueLost: () => ({ getValue: () => 0 }),
  wrongSubject({ getWeak, setWeak, getValue }) {
    // Subjects in places are read ephemeron first; the others, in graves, are to be taken for the newest.
    let newest = 0;
    let inPlace = false;
    return {
      setWeak(weak, subject) {
        newest = subject;
        setWeak(weak, subject);
      },
      getValue(ephemeron) {
        inPlace = true;
        return getValue(ephemeron);
      },
      getWeak(weak) {
        const subject = inPlace ? getWeak(weak) : newest;
        inPlace = false;
        return subject;
      },
    };
  },
  valueKept: ({ getValue }) => ({ getValue: (ephemeron) => getValue(ephemeron) || ephemeron }),
  stillThere: ({ getWeak }) => ({ getWeak: (weak) => getWeak(weak) || weak }),
  neverGuarded({ setWeak }) {
    let second = 0;
    let made = 0;
    return {
      setWeak(weak, subject) {
        if (made++ === 1) second = subject;
        setWeak(weak, subject);
      },
      nextFinalizable: () => second,
    };
  },
  notGuarded: () => ({ guard() {} }),
  notCollected: () => ({ collect() {} }),
};

const scenarios = {
  /** Sums lists in a module of the document's until there were some cycles. Every list takes a part of the heap. */
  sum: ({ wasm, n, cyclesMin, options }) =>
    withHeap({ heap: 2 * MIB, ...options }, (heap) => {
      const mutator = heap.attach();
      const pair = heap.defineRecordLayout('Pair', 16, [8]);
      const module = new WebAssembly.Module(readFileSync(wasm));
      const { exports } = new WebAssembly.Instance(module, { ...mutator.guest.imports, types: { pair } });
      const sums = new Set();
      do sums.add(mutator.run(() => mutator.scope(() => exports.sum(n))));
      while (heap.stats().cycles < cyclesMin);
      const depth = mutator.shadowStack.depth;
      mutator.detach();
      return { sums: [...sums], depth };
    }),

  /** A workload as a guest. */
  workload: ({ name, scale, options, atMostAgain }) =>
    withHeap(options, (heap) => {
      const mutator = heap.attach();
      let operations = 0;
      let checksum = runWorkload(name, heap, mutator, scale, () => operations++);
      // Again, where a cycle was to come between and the collector was late: it must read the same.
      for (let again = 0; again < atMostAgain && heap.stats().cycles === 0; again++) {
        const next = runWorkload(name, heap, mutator, scale, () => {});
        if (next !== checksum) checksum = NaN;
      }
      const { cycles } = heap.stats();
      mutator.detach();
      return { checksum, operations, cycles };
    }),

  /** Workloads with and without checks. */
  async checked({ names, scale, options }) {
    const all = (verify) =>
      withHeap({ ...options, verify }, (heap) => {
        const mutator = heap.attach();
        const sums = names.map((name) => runWorkload(name, heap, mutator, scale));
        mutator.detach();
        return sums;
      });
    const [guest, checked] = [await all('off'), await all('full')];
    return Object.fromEntries(names.map((name, i) => [name, { guest: guest[i], checked: checked[i] }]));
  },

  /** What references says, as a guest, about each lie. */
  async lies() {
    const messages = {};
    for (const [name, lie] of Object.entries(LIES)) {
      messages[name] = await withHeap({ heap: 16 * MIB }, (heap) => {
        const mutator = heap.attach();
        const { memory, functions } = mutator.guest;
        const liar = {
          guest: { memory, functions: { ...functions, ...lie(functions) } },
          run: (body) => mutator.run(body),
          scope: (body) => mutator.scope(body),
          safepoint: () => mutator.safepoint(),
        };
        const { message } = thrown(() => runWorkload('references', heap, liar, 0.001));
        mutator.detach();
        return message;
      });
    }
    return messages;
  },

  /** What the functions of the ABI refuse. */
  refusals: ({ wasm }) =>
    withHeap({ heap: MIB }, (heap) => {
      const mutator = heap.attach();
      const pair = heap.defineRecordLayout('Pair', 16, [8]);
      const bytes = heap.defineArray('Bytes', 'u8').id;
      const words = heap.defineArray('Words', 'f64').id;
      const { functions } = mutator.guest;
      const { allocateSlow, tryAllocateSlow, shadowOverflow, checkSlot } = functions;
      const inside = (body) => mutator.run(() => thrown(body));
      const module = new WebAssembly.Module(readFileSync(wasm));
      const result = {
        outside: thrown(() => allocateSlow(pair, 16, 0)),
        size: inside(() => allocateSlow(pair, 24, 0)),
        noType: inside(() => allocateSlow(999, 16, 0)),
        wildType: inside(() => allocateSlow(-1, 16, 0)),
        arraySize: inside(() => allocateSlow(bytes, 16, 9)),
        arrayRight: inside(() => allocateSlow(bytes, 24, 9)),
        // 2^29 elements of 8 bytes are 2^32 bytes and 8 of header, which are 8 in 32 bits.
        overflow: inside(() => allocateSlow(words, 8, 2 ** 29)),
        negative: inside(() => allocateSlow(bytes, 8, -1)),
        stack: inside(() => shadowOverflow()),
        // Nobody checks without verify.
        unchecked: inside(() => checkSlot(12345, 3)),
        room: mutator.run(() => tryAllocateSlow(bytes, 64 * MIB + 8, 64 * MIB)),
        noRoom: inside(() => allocateSlow(bytes, 64 * MIB + 8, 64 * MIB)).code,
        link: thrown(
          () =>
            new WebAssembly.Instance(module, {
              env: { memory: heap.memory },
              [`${GUEST_MODULE}0`]: functions,
              types: { pair },
            }),
        ).code,
        same: mutator.guest.functions === functions && Object.isFrozen(functions),
      };
      // A list that is longer than the heap, and a shadow stack that is left where it was.
      const { exports } = new WebAssembly.Instance(module, { ...mutator.guest.imports, types: { pair } });
      result.full = inside(() => mutator.scope(() => exports.sum(1_000_000))).code;
      result.depth = mutator.shadowStack.depth;
      result.after = mutator.run(() => mutator.scope(() => exports.sum(1000)));
      mutator.detach();
      result.detached = thrown(() => allocateSlow(pair, 16, 0)).code;
      return result;
    }),

  /** What a verifying heap finds. */
  verified: () =>
    withHeap({ heap: MIB, verify: 'full' }, (heap) => {
      const mutator = heap.attach();
      const pair = heap.defineRecordLayout('Pair', 16, [8]);
      // A buffer that is there before the guest is: its rest must not be a way round the checks.
      mutator.run(() => mutator.guest.functions.allocateSlow(pair, 16, 0));
      const { functions } = mutator.guest;
      const words = new Int32Array(heap.memory.buffer, functions.thread, 64);
      const result = mutator.run(() =>
        mutator.scope(() => {
          const ref = functions.allocateSlow(pair, 16, 0);
          const pushed = (value, body) =>
            mutator.scope(() => {
              mutator.shadowStack.push(value);
              return thrown(body);
            });
          return {
            everyAllocation: words[16] === words[17],
            everyPoll: Atomics.load(new Int32Array(heap.memory.buffer), functions.poll >>> 2) !== 0,
            good: pushed(ref, () => functions.safepointSlow()).code,
            badRootAtPoll: pushed(ref + 4, () => functions.safepointSlow()),
            badRootAtAllocation: pushed(ref + 8, () => functions.allocateSlow(pair, 16, 0)).code,
            slot: thrown(() => functions.checkSlot(ref, 8)).code,
            badSlot: thrown(() => functions.checkSlot(ref, 12)).code,
            raw: thrown(() => functions.checkRaw(ref, 12, 4)).code,
            badRaw: thrown(() => functions.checkRaw(ref, 8, 4)).code,
            badRef: thrown(() => functions.checkRef(ref + 8)).code,
          };
        }),
      );
      mutator.detach();
      return result;
    }),
};

process.stdout.write(`${JSON.stringify(await scenarios[scenario](config))}\n`);
