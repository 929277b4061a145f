// What a newcomer gets wrong in a call: each is a typed error at once that says what to write instead, and the heap goes on.
import {
  Userfaultfd,
  createLibcKernel,
  injectFaults,
  Memfd,
  PagemapScan,
  probe,
  Reservation,
} from 'tospace/uffd';
import { createHeap, HeapObserver, HeapWeakMap, InternTable, main, NULL, thrownBy } from './support.mjs';

const MIB = 2 ** 20;

const told = (body) => {
  const { code, message, hint } = thrownBy(body);
  return { code, message, hint };
};

await main({
  /** Keys that there are not. */
  async keys() {
    const heap = await createHeap({ heap: MIB, collector: 'stop-the-world' });
    const m = heap.attach({ name: 'main' });
    const kernel = createLibcKernel();
    const memfd = Memfd.create(kernel, 'misuse', MIB);
    const scan = PagemapScan.open(kernel);
    const errors = {
      maxByte: told(() => heap.snapshot({ maxByte: 1 })),
      nam: told(() => heap.attach({ nam: 'main' })),
      realease: told(() => m.run(() => m.collect({ realease: true }))),
      entryType: told(() => new HeapObserver(() => {}).observe({ entryTypes: ['gc'], entryType: 'gc' })),
      quik: told(() => probe({ quik: true })),
      knd: told(() => Userfaultfd.open(kernel, { knd: 'full' })),
      alignByte: told(() => Reservation.reserve(kernel, MIB, { alignByte: MIB })),
      ofset: told(() => memfd.map(4096, 4096, { ofset: 0 })),
      maks: told(() => scan.scan(0, 4096, { maks: 1 })),
      evry: told(() => injectFaults(kernel, [{ call: 'mremap', nth: 1, evry: true }])),
    };
    // A key that is undefined was not given.
    m.run(() => m.collect({ release: undefined, other: undefined }));
    scan.close();
    memfd.close();
    m.detach();
    await heap.close();
    return errors;
  },

  async values() {
    const heap = await createHeap({ heap: MIB, collector: 'stop-the-world' });
    const m = heap.attach();
    const errors = {
      collect: told(() => m.run(() => m.collect(true))),
      release: told(() => m.run(() => m.collect({ release: 'yes' }))),
      maxBytes: told(() => heap.snapshot({ maxBytes: '1MB' })),
      whileStopped: told(() => heap.snapshot({ whileStopped: true })),
      kind: told(() => Userfaultfd.open(createLibcKernel(), { kind: 'user' })),
    };
    const small = told(() => heap.snapshot({ maxBytes: '1KiB' }));
    const { cycles } = heap.stats();
    const { objectCount } = heap.snapshot({ maxBytes: '1MiB' });
    m.detach();
    await heap.close();
    return { errors, small: small.code, cycles, graph: objectCount };
  },

  /** Calls in a state that they do not fit; in none of them the thread's state changes. */
  async states() {
    const heap = await createHeap({ heap: MIB, collector: 'stop-the-world' });
    const Cell = heap.defineRecord('Cell', { next: 'ref' });
    const m = heap.attach();
    const errors = {
      leave: told(() => m.leave()),
      detachInRun: m.run(() => told(() => m.detach())),
      detachInBlocking: m.run(() => m.blocking(() => told(() => m.detach()))),
    };
    const id = m.run(() => m.typeId(m.allocate(Cell)));
    m.detach();
    await heap.close();
    return { errors, worked: id === Cell.id };
  },

  /** Tables of the one kind opened as the other. */
  async tables() {
    const heap = await createHeap({ heap: MIB, collector: 'stop-the-world' });
    const mapTypes = heap.defineWeakMap();
    const internTypes = heap.defineInternTable();
    const m = heap.attach();
    const result = m.run(() => {
      const map = HeapWeakMap.create(m, mapTypes);
      const symbols = InternTable.create(m, internTypes);
      const errors = {
        mapOfSymbols: told(() => HeapWeakMap.create(m, internTypes)),
        symbolsOfMap: told(() => InternTable.create(m, mapTypes)),
        nothing: told(() => HeapWeakMap.create(m)),
        openedMap: told(() => HeapWeakMap.open(m, mapTypes, symbols.ref)),
        openedSymbols: told(() => InternTable.open(m, internTypes, map.ref)),
        openedNull: told(() => HeapWeakMap.open(m, mapTypes, NULL)),
      };
      return { errors, size: HeapWeakMap.open(m, mapTypes, map.ref).size };
    });
    m.detach();
    await heap.close();
    return result;
  },
});
