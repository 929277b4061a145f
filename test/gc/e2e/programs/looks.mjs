// Looking at the heap at bad moments, and writing what was seen to bad places.

import { createReadStream, existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { parse } from 'heap-snapshot-toolkit';
import { addressOf, createLibcKernel } from 'tospace/uffd';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  isTospaceError,
  layout,
  main,
  NULL,
  sleep,
  startCycle,
  thrownBy,
  withHeap,
} from './support.mjs';

const MIB = 1024 * 1024;
// Words of `flags`.
const QUIT = 0;
const LOOKS = 1;
const OVERTAKEN = 2;

/** A thread looks again and again: no look begins while a cycle waits that was asked for before it. */
async function turns({ options, cycles }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const m = heap.attach();
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const lookers = [1, 2].map(
    () => new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), flags } }),
  );
  const exits = lookers.map(
    (looker) => new Promise((resolve, reject) => looker.once('exit', resolve).once('error', reject)),
  );
  while (Atomics.load(flags, LOOKS) < 10) await new Promise((resolve) => setTimeout(resolve, 2));
  for (let i = 0; i < cycles; i++) m.run(() => m.collect());
  Atomics.store(flags, QUIT, 1);
  await Promise.all(exits);
  m.detach();
  await heap.close();
  return { looks: flags[LOOKS], overtaken: flags[OVERTAKEN] };
}

/** process.exit() in the middle of a look, for whose end the collector waits. */
async function exits({ options }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const words = control(heap);
  heap.snapshot({
    whileStopped() {
      Atomics.add(words, layout.CTL_CYCLES_ASKED, 1);
      Atomics.notify(words, layout.CTL_CYCLES_ASKED);
      sleep(100);
      process.exit(7);
    },
  });
}

/** The same on a worker thread whose heap this thread uses: it is told that the heap is closed. */
async function creatorExits({ options }) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { job: 'exits', options } });
  const exit = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  const heap = attachHeap(await new Promise((resolve) => worker.once('message', resolve)));
  const m = heap.attach();
  const words = control(heap);
  const error = thrownBy(() =>
    m.run(() => {
      worker.postMessage('look');
      for (;;) m.safepoint();
    }),
  );
  assert(isTospaceError(error, 'ERR_STATE'), `${error}`);
  assert(words[layout.CTL_STOP] === layout.PAUSE_NONE, 'nobody is stopped any more');
  m.detach();
  assert((await exit) === 7, 'the thread that looked has exited');
}

/** A thread died while it looked, and this one has its id now: nothing is mistaken for a look of its own. */
async function reused({ options }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const words = control(heap);
  const tid = createLibcKernel().gettid();
  const die = (stopped) => {
    // As the lock's holder words are written down in heap/lock.ts.
    Atomics.store(words, layout.CTL_WORLD_LOCK, tid | (1 << 29));
    Atomics.store(words, layout.CTL_INSPECTOR_TID, tid);
    Atomics.store(words, layout.CTL_POLL, stopped ? 1 : 0);
    Atomics.store(words, layout.CTL_STOP, stopped ? layout.PAUSE_INSPECT : layout.PAUSE_NONE);
  };
  for (const stopped of [true, false]) {
    die(stopped);
    assert(heap.snapshot().objectCount > 0, 'a snapshot');
    assert(words[layout.CTL_INSPECTOR_TID] === 0 && words[layout.CTL_WORLD_LOCK] === 0, 'all is let go');
  }
  const m = heap.attach();
  m.run(() => m.collect());
  m.detach();
  die(false);
  Atomics.store(words, layout.CTL_WORLD_LOCK, 0);
  await heap.close();
}

/** A snapshot that is asked for while a window is open waits for its end, and sees everything. */
async function window({ options, count }) {
  return withHeap({ heap: 16 * MIB, ...options, stress: { delayMs: { compact: 30 } } }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
    const words = control(heap);
    m.run(() =>
      m.scope(() => {
        const head = m.local(NULL);
        for (let i = 0; i < count; i++) {
          const ref = m.allocate(Node);
          m.setRef(ref, Node.offset.next, m.get(head));
          m.setI32(ref, Node.offset.value, i);
          m.set(head, ref);
          // What dies in between makes the others move.
          m.allocate(Node);
        }
        let open = 0;
        for (let round = 0; round < 3; round++) {
          startCycle(heap, m, layout.PHASE_COMPACT);
          open += Atomics.load(words, layout.CTL_WINDOW);
          let seen = 0;
          const graph = heap.snapshot({
            whileStopped(taken) {
              assert(Atomics.load(words, layout.CTL_WINDOW) === 0, 'the window is closed');
              const memory = new Int32Array(heap.memory.buffer);
              for (const object of taken.objects())
                if (object.typeId === Node.id) seen += memory[(object.address + Node.offset.value) >> 2];
            },
          });
          const { count: nodes } = graph.histogram().find(({ type }) => type === 'Node');
          assert(nodes === count && seen === (count * (count - 1)) / 2, `${nodes} objects, sum ${seen}`);
        }
        assert(open > 0, 'a window was open');
      }),
    );
  });
}

const rejection = (promise) =>
  promise.then(
    () => {
      throw new Error('nothing was thrown');
    },
    (error) => error,
  );

/** Where no file can be made, or not a whole one: a typed error, nothing half, and what is no file stays. */
async function file({ options }) {
  const folder = mkdtempSync(join(tmpdir(), 'tospace-'));
  await withHeap({ heap: 4 * MIB, ...options }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref' });
    m.run(() => {
      for (let i = 0; i < 20_000; i++) m.local(m.allocate(Node));
    });
    const graph = heap.snapshot();
    const write = (path) => rejection(graph.writeHeapSnapshot(path));
    const expected = async (path, code, syscall, errnoName) => {
      const error = await write(path);
      assert(
        isTospaceError(error, code) && error.syscall === syscall && error.errnoName === errnoName,
        () => `${path}: ${error} ${error.code} ${error.syscall} ${error.errnoName}`,
      );
      assert(error.message.includes(path), `${error.message} names the file`);
    };
    await expected(join(folder, 'none', 'x'), 'ERR_SYSCALL', 'open', 'ENOENT');
    await expected(folder, 'ERR_SYSCALL', 'open', 'EISDIR');
    await expected('/dev/full', 'ERR_OUT_OF_MEMORY', 'write', 'ENOSPC');
    assert(statSync('/dev/full').isCharacterDevice(), 'the device is still there');
    for (const to of [undefined, null, 42, {}])
      assert(isTospaceError(await write(to), 'ERR_OPTION'), `written to ${to}`);
    const broken = new Writable({ write: (_piece, _encoding, done) => done(new Error('mine')) });
    assert((await write(broken)).message === 'mine', 'the error of a stream');

    // The disk is full after 64 KiB: a limit of this process says so from here on.
    process.on('SIGXFSZ', () => {});
    const limit = new BigUint64Array([65536n, 2n ** 63n]);
    const kernel = createLibcKernel();
    const [PRLIMIT64, RLIMIT_FSIZE] = [302, 1];
    const done = kernel.syscall(PRLIMIT64, 0, RLIMIT_FSIZE, addressOf(limit), 0);
    assert(done === 0, `setting the limit: ${done}`);
    const path = join(folder, 'x.heapsnapshot');
    await expected(path, 'ERR_SYSCALL', 'write', 'EFBIG');
    assert(!existsSync(path), 'no half file');
    const link = join(folder, 'link');
    symlinkSync(path, link);
    await expected(link, 'ERR_SYSCALL', 'write', 'EFBIG');
    assert(!existsSync(path), 'no half file behind a link');
    limit[0] = 2n ** 62n;
    kernel.syscall(PRLIMIT64, 0, RLIMIT_FSIZE, addressOf(limit), 0);
    await graph.writeHeapSnapshot(path);
    assert((await parse(createReadStream(path, 'utf-8'))).totalSize === graph.totalBytes, 'a whole file');
  });
  rmSync(folder, { recursive: true });
}

/** Nobody has made anything, nobody is attached. */
async function empty({ options }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const graph = heap.snapshot();
  const all = [...graph.objects()];
  const types = all.map(({ type }) => type).join();
  assert(types === 'persistent handles', types);
  assert(graph.totalBytes === all[0].bytes && all[0].retainedBytes === all[0].bytes, 'its bytes');
  assert(graph.referenceCount === 1 && [...graph.roots()].length === 1, 'one root');
  assert(graph.pathsToRoots(all[0]).map(String).join() === 'tospace → persistent handles', 'its path');
  const pieces = [];
  const stream = new Writable({
    write(piece, _encoding, done) {
      pieces.push(piece);
      done();
    },
  });
  await graph.writeHeapSnapshot(stream);
  const { snapshot, nodes, edges } = JSON.parse(Buffer.concat(pieces).toString());
  const { meta, node_count, edge_count } = snapshot;
  assert(
    nodes.length === node_count * meta.node_fields.length &&
      edges.length === edge_count * meta.edge_fields.length,
    'as many numbers as the file says',
  );
  await heap.close();
}

/** A thread that was terminated while it ran is not waited for, and its roots are void. */
async function dead({ options }) {
  // Longer than this test may take: nobody gives up.
  const heap = await createHeap({ heap: 4 * MIB, safepointTimeoutMs: 600_000, ...options });
  const Node = heap.defineRecord('Node', { next: 'ref' });
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const m = heap.attach({ name: 'main' });
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), flags, Node } });
  while (Atomics.load(flags, LOOKS) === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  await worker.terminate();
  const graph = m.run(() => heap.snapshot());
  const names = [...graph.roots()].map(({ name }) => name).join();
  assert(names === 'thread "main" shadow stack,tospace', names);
  assert(!graph.histogram().some(({ type }) => type === 'Node'), 'nothing of its is left');
  m.detach();
  await heap.close();
}

/** No snapshot inside another one, of whatever heap. */
async function nested() {
  const heaps = [await createHeap({ heap: MIB }), await createHeap({ heap: MIB })];
  for (const outer of heaps) {
    for (const inner of [...heaps, attachHeap(outer.share())]) {
      const error = thrownBy(() => outer.snapshot({ whileStopped: () => inner.snapshot() }));
      assert(isTospaceError(error, 'ERR_STATE'), `${error}`);
    }
    assert(outer.snapshot().objectCount === 1, 'a snapshot afterwards');
  }
  assert(
    isTospaceError(
      thrownBy(() => heaps[0].snapshot({ whileStopped: true })),
      'ERR_OPTION',
    ),
    'no function',
  );
  for (const heap of heaps) await heap.close();
}

if (isMainThread) {
  await main({ turns, exits, creatorExits, reused, window, file, empty, dead, nested });
} else if (workerData.job === 'exits') {
  const heap = await createHeap({ heap: 4 * MIB, ...workerData.options });
  parentPort.once('message', () => heap.snapshot({ whileStopped: () => process.exit(7) }));
  parentPort.postMessage(heap.share());
} else if (workerData.Node !== undefined) {
  const { shared, flags, Node } = workerData;
  const m = attachHeap(shared).attach({ name: 'dead' });
  m.run(() => {
    m.persist(m.get(m.local(m.allocate(Node))));
    Atomics.store(flags, LOOKS, 1);
    for (;;);
  });
} else {
  const { shared, flags } = workerData;
  const heap = attachHeap(shared);
  const words = control(heap);
  while (Atomics.load(flags, QUIT) === 0) {
    const asked = Atomics.load(words, layout.CTL_CYCLES_ASKED);
    heap.snapshot({
      whileStopped() {
        if (((Atomics.load(words, layout.CTL_CYCLES_DONE) - asked) | 0) < 0) Atomics.add(flags, OVERTAKEN, 1);
      },
    });
    Atomics.add(flags, LOOKS, 1);
  }
}
