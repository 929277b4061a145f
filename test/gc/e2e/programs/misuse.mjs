// What a verifying heap says of mistakes: where they are made, or, of those that only the verifier sees, when it stops the process.
import { createHeap, NULL } from 'tospace';
import { main } from './support.mjs';

async function withHeap(options, body) {
  const heap = await createHeap({ heap: 4 * 2 ** 20, ...options });
  const types = {
    Pair: heap.defineRecord('Pair', { car: 'ref', cdr: 'ref' }),
    Entry: heap.defineRecord('Entry', { value: 'f64' }),
    Vector: heap.defineRefArray('Vector'),
    Text: heap.defineArray('Text', 'u16'),
    Weak: heap.defineWeakRecord('Weak'),
  };
  const m = heap.attach({ name: 'careless' });
  try {
    return m.run(() => body(m, types));
  } finally {
    m.detach();
    await heap.close();
  }
}

/** Each mistake by its name, and the code, message and hint of what it throws. */
function messages() {
  return withHeap({ verify: 'full' }, (m, { Pair, Entry, Vector, Text, Weak }) => {
    const vector = () => m.allocateArray(Vector, 3);
    const text = () => m.allocateArray(Text, 4);
    const mistakes = {
      null: () => m.getRef(NULL, Pair.offset.car),
      undefined: () => m.setRef(m.allocate(Pair), Pair.offset.car, undefined),
      tagged: () => m.setRef(m.allocate(Pair), Pair.offset.car, 43),
      otherField: () => m.getRef(m.allocate(Pair), 16),
      noField: () => m.getRef(m.allocate(Pair), Pair.offset.head),
      rawField: () => m.getRef(m.allocate(Entry), Entry.offset.value),
      referenceAsData: () => m.getF64(m.allocate(Pair), Pair.offset.car),
      header: () => m.setI32(m.allocate(Pair), 4, 1),
      weakField: () => m.getRef(m.allocate(Weak), Weak.offset.referent),
      elementOf: () => m.getElement(vector(), 3),
      setElementOf: () => m.setElement(vector(), -1, NULL),
      atomicElementOf: () => m.atomicLoadElement(vector(), 7),
      manyElements: () => {
        const array = vector();
        m.copyElements(array, 0, array, 1, 3);
      },
      elementOfText: () => m.getElement(text(), 0),
      bytesOf: () => {
        const string = text();
        m.copyBytes(string, 0, string, 4, 6);
      },
      asyncScope: () => m.scope(async () => 1),
      asyncRun: () => m.run(async () => 1),
      asyncBlocking: () => m.blocking(async () => 1),
      lengthOfRecord: () => m.length(m.allocate(Pair)),
      pinnedAndForgotten: () => {
        const pinned = m.allocatePinnedArray(Text, 4);
        m.collect();
        return m.length(pinned);
      },
      noType: () => m.allocate(undefined),
      unknownType: () => m.allocate({ id: 5000, bytes: 16 }),
      otherSize: () => m.allocate({ id: Pair.id, bytes: 24 }),
      arrayAsRecord: () => m.allocate(Vector),
      recordAsArray: () => m.allocateArray(Pair, 3),
      otherElement: () => m.allocateArray({ ...Text, elementBytes: 1 }, 3),
      // The type of a reference array for one of raw data.
      otherKind: () => m.allocateArray({ ...Vector, kind: 'raw-array', elementBytes: 4 }, 3),
    };
    const found = {};
    for (const [name, mistake] of Object.entries(mistakes)) {
      try {
        m.scope(() => mistake());
        found[name] = 'not found';
      } catch (error) {
        found[name] = `${error.code} ${error.message} | ${error.hint}`;
      }
    }
    return found;
  });
}

/** Written past the end: found by the next allocation, in both words of its header's second half and behind it. */
function overrun() {
  return withHeap({ verify: 'full' }, (m, { Pair, Text }) =>
    [8, 12, 20].map((offset) => {
      m.collect(); // a new buffer, which nobody has written to
      m.allocate(Pair);
      const text = m.allocateArray(Text, 4);
      m.u8[text + 8 + offset] = 1;
      try {
        m.allocate(Pair);
        return 'not found';
      } catch (error) {
        return `${error.code} ${error.message}`;
      }
    }),
  );
}

/** Without a check, and without a word: what a heap that does not verify says of a wrong kind of type. */
function unchecked() {
  return withHeap({}, (m, { Pair, Vector }) =>
    [() => m.allocate(Vector), () => m.allocateArray(Pair, 3)].map((body) => {
      try {
        body();
        return 'not found';
      } catch (error) {
        return `${error.code} ${error.message}`;
      }
    }),
  );
}

/** An element is stored by a view, while the collector marks beside it. */
function unbarriered() {
  return withHeap({ verify: 'phase', stress: { delayMs: { remark: 5 } }, trigger: 0.1 }, (m, types) => {
    const vector = m.local(m.allocateArray(types.Vector, 4));
    for (let i = 0; i < 100_000; i++) {
      const pair = m.allocate(types.Pair);
      m.i32[((m.get(vector) + 8) >> 2) + 2] = pair;
      m.allocateArray(types.Text, 500);
    }
  });
}

/** What is no reference is where the type has one. */
function tagged() {
  return withHeap({ verify: 'phase' }, (m, types) => {
    const pair = m.local(m.allocate(types.Pair));
    m.i32[(m.get(pair) + types.Pair.offset.cdr) >> 2] = 43;
    m.collect();
  });
}

/** An object is written past its end, into the header of the next one, which is a root. */
function overwritten() {
  return withHeap({ verify: 'phase' }, (m, types) => {
    const text = m.local(m.allocateArray(types.Text, 4));
    m.local(m.allocate(types.Pair));
    m.u8.fill(0xee, m.get(text) + 8, m.get(text) + 24);
    m.collect();
  });
}

main({ messages, overrun, unchecked, unbarriered, tagged, overwritten });
