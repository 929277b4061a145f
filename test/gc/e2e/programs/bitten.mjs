// What has bitten others: one scenario for each point of the list in docs/architecture.md that shows from outside.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { UFFDIO_CONTINUE, UFFDIO_UNREGISTER } from 'tospace/uffd';
import {
  assert,
  attachHeap,
  buildList,
  checkList,
  control,
  createHeap,
  hash,
  layout,
  main,
  maps,
  NULL,
  Random,
  startCycle,
  withHeap,
} from './support.mjs';

const PAGE = 4096;
const NODE = { next: 'ref', value: 'i32' };

/** What lies in [address, address + bytes) of this process: permissions and name of every mapping there. */
function mapped(address, bytes) {
  return maps()
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \S+\s*(.*)$/.exec(line))
    .map(([, from, to, mode, offset, name]) => ({
      from: Number.parseInt(from, 16),
      to: Number.parseInt(to, 16),
      mode,
      offset: Number.parseInt(offset, 16),
      name,
    }))
    .filter(({ from, to }) => from < address + bytes && to > address);
}

/** 1, 15: between cycles the attic is an empty reservation, and no cycle moves, cuts or swallows a neighbouring mapping. */
function mappings({ options }) {
  return withHeap({ heap: 32 * 1024 * 1024, ...options }, (heap, m) => {
    const { arena } = heap.share();
    const { geometry } = arena;
    const node = heap.defineRecord('Node', NODE);
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, node, 100_000);
        for (let cycle = 0; cycle < 6; cycle++) {
          for (let i = 0; i < 100_000 * (cycle % 3); i++) m.allocate(node);
          m.collect({ release: cycle === 4 });
          checkList(m, node, head, 100_000);
          for (const { mode, name } of mapped(arena.attic, geometry.windowBytes)) {
            assert(mode.startsWith('---') && !name.includes('memfd'), `the attic holds ${mode} ${name}`);
          }
          const real = (offset) => geometry.memoryAddress + offset;
          const window = mapped(real(geometry.heap), geometry.windowBytes);
          assert(
            window.length === 1 && window[0].mode === 'rw-s',
            `the heap window is ${JSON.stringify(window)}`,
          );
          assert(
            window[0].from <= real(geometry.heap) &&
              window[0].to >= real(geometry.heap) + geometry.windowBytes,
            'the window is whole',
          );
          geometry.aliases.forEach((alias, i) => {
            const parts = mapped(real(alias), geometry.heapBytes);
            assert(parts.length === 1, `alias ${i} is in pieces: ${JSON.stringify(parts)}`);
            assert(
              parts[0].name.includes(i === 0 ? 'tospace-a' : 'tospace-b'),
              `alias ${i} shows ${parts[0].name}`,
            );
            assert(
              real(alias) - parts[0].from === parts[0].offset || parts[0].offset === 0,
              `alias ${i} begins at ${parts[0].offset}`,
            );
          });
        }
      });
    });
  });
}

/** 2: late faults. Servers read slowly, unregistering is slow, from-space is punched at once: nobody may see released memory. */
function lateFaults({ options, cycles }) {
  const injection = [
    { call: 'read', nth: 3, every: true, delayMs: 15, thread: 'server' },
    { call: 'ioctl', nth: 1, every: true, delayMs: 20, thread: 'collector', request: UFFDIO_UNREGISTER },
  ];
  return withHeap({ heap: 8 * 1024 * 1024, trigger: 0.05, ...options, stress: { injection } }, (heap, m) =>
    churn(heap, m, cycles),
  );
}

/** Writes and reads everywhere while `cycles` cycles pass. */
function churn(heap, m, cycles, until = () => true) {
  const node = heap.defineRecord('Node', NODE);
  const ints = heap.defineArray('Ints', 'i32');
  const refs = heap.defineRefArray('Refs');
  const random = new Random(5);
  const count = 1500;
  m.run(() => {
    m.scope(() => {
      const table = m.local(m.allocateArray(refs, count));
      const seeds = new Array(count).fill(0);
      const lengths = new Array(count).fill(0);
      const put = (i) => {
        lengths[i] = random.int(i % 40 === 0 ? 4000 : 300);
        seeds[i] = random.next();
        const ref = m.allocateArray(ints, lengths[i]);
        for (let k = 0; k < lengths[i]; k++) m.i32[(ref >> 2) + 2 + k] = hash(seeds[i], k);
        m.setElement(m.get(table), i, ref);
      };
      const check = (i) => {
        const ref = m.getElement(m.get(table), i);
        assert(
          m.length(ref) === lengths[i],
          () => `array ${i} has ${m.length(ref)} elements instead of ${lengths[i]}`,
        );
        for (let k = 0; k < lengths[i]; k++)
          assert(
            m.u32[(ref >> 2) + 2 + k] === hash(seeds[i], k),
            () => `array ${i} holds ${m.u32[(ref >> 2) + 2 + k]} at ${k}`,
          );
      };
      for (let i = 0; i < count; i++) put(i);
      const end = heap.stats().cycles + cycles;
      for (let n = 0; heap.stats().cycles < end || !until(); n++) {
        for (let k = 0; k < 50; k++) {
          const i = random.int(count);
          check(i);
          if (k % 4 === 0) put(i);
        }
        if (n % 20 === 0) m.scope(() => checkList(m, node, buildList(m, node, 200), 200));
      }
      m.collect();
      for (let i = 0; i < count; i++) check(i);
    });
  });
  return { cycles: heap.stats().cycles, faults: heap.stats().faults };
}

/** 3: signals interrupt faults, and have them delivered again for pages that are being built. */
async function signals({ options, cycles }) {
  let seen = 0;
  for (const name of ['SIGUSR2', 'SIGWINCH', 'SIGURG']) process.on(name, () => seen++);
  const storm = spawn(
    process.execPath,
    [
      '-e',
      `const names = ['SIGUSR2','SIGWINCH','SIGURG']; let i = 0; process.send('ready'); for (;;) { try { process.kill(${process.pid}, names[i++ % 3]); } catch { process.exit(); } if (i % 8 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.1); }`,
    ],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  await new Promise((resolve) => storm.once('message', resolve));
  try {
    const result = await withHeap(
      { heap: 16 * 1024 * 1024, trigger: 0.1, ...options, stress: { delayMs: { batch: 2 } } },
      (heap, m) => churn(heap, m, cycles),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert(seen > 0, 'no signal arrived');
    return { seen, faults: result.faults.count };
  } finally {
    storm.kill('SIGKILL');
  }
}

/** 3: the kernel says now and then that somebody else has installed the page, or that mappings are changing. */
function refusals({ errno, thread, nth, cycles }) {
  const injection = [{ call: 'ioctl', nth, every: true, errno, thread, request: UFFDIO_CONTINUE }];
  const options = {
    heap: 8 * 1024 * 1024,
    trigger: 0.1,
    servers: 2,
    stress: { injection, delayMs: { batch: 1 } },
  };
  return withHeap(options, (heap, m) => churn(heap, m, cycles));
}

/** 4: while pages are staged, and after, new objects lie on fresh pages behind them. */
function freshPage({ options }) {
  return withHeap(
    { heap: 8 * 1024 * 1024, trigger: 0.95, ...options, stress: { delayMs: { batch: 20 } } },
    (heap, m) => {
      const node = heap.defineRecord('Node', NODE);
      const words = control(heap);
      m.run(() => {
        m.scope(() => {
          for (let cycle = 0; cycle < 4; cycle++) {
            const head = buildList(m, node, 20_000 + cycle * 7);
            // A thread that gets no CPU behind the pause may come too late: once more.
            for (let i = 0; i < 20; i++) {
              startCycle(heap, m, layout.PHASE_COMPACT);
              if (Atomics.load(words, layout.CTL_WINDOW) === 1) break;
              m.collect();
            }
            assert(Atomics.load(words, layout.CTL_WINDOW) === 1, 'the window is open');
            const used = words[layout.CTL_HEAP_BASE] + words[layout.CTL_USED_BYTES];
            const ref = m.allocate(node);
            assert(ref % PAGE === 0, `the first object after the flip lies at ${ref}`);
            assert(ref >= used, `it lies at ${ref}, staged pages end at ${used}`);
            checkList(m, node, head, 20_000 + cycle * 7);
            m.collect();
          }
        });
      });
    },
  );
}

/** 5: whatever a page held two cycles ago, a new object is zero. */
function zeroes({ options }) {
  return withHeap({ heap: 4 * 1024 * 1024, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', { next: 'ref', a: 'f64', b: 'f64', value: 'i32' });
    const random = new Random(3);
    m.run(() => {
      for (let n = 0; n < 2500; n++) {
        const length = random.int(n % 9 === 0 ? 150_000 : 6000);
        const ref = m.allocateArray(bytes, length);
        for (let i = 0; i < length; i++)
          assert(
            m.u8[ref + 8 + i] === 0,
            () => `byte ${i} of a new array of ${length} is ${m.u8[ref + 8 + i]}`,
          );
        m.u8.fill(0xff, ref + 8, ref + 8 + length);
        const record = m.allocate(node);
        for (let at = 4; at < node.bytes; at += 4)
          assert(
            m.i32[(record + at) >> 2] === 0,
            () => `a new record holds ${m.i32[(record + at) >> 2]} at ${at}`,
          );
        m.u8.fill(0xee, record + node.offset.a, record + node.offset.a + 16);
        if (n % 250 === 0) m.collect({ release: n % 500 === 0 });
      }
    });
    return heap.stats().cycles;
  });
}

/** 7: many ask for collections at once, while windows are slow to close; cycles come one after the other, and all who asked are answered. */
async function manyRequests({ options, collections }) {
  const heap = await createHeap({
    heap: 8 * 1024 * 1024,
    verify: 'full',
    ...options,
    stress: { delayMs: { batch: 2, close: 5 } },
  });
  const numbers = [];
  heap.on('cycle', (report) => numbers.push(report.cycle));
  const node = heap.defineRecord('Node', NODE);
  const threads = 3;
  const done = [];
  for (let i = 0; i < threads; i++) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { shared: heap.share(), node, collections },
    });
    done.push(new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)));
  }
  const m = heap.attach();
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, 5000);
      for (let i = 0; i < collections; i++) {
        m.collect();
        checkList(m, node, head, 5000);
      }
    });
  });
  await Promise.all(done);
  m.detach();
  const { cycles } = heap.stats();
  assert(
    cycles >= collections && cycles <= collections * (threads + 1) + 2,
    `${cycles} cycles for ${collections * (threads + 1)} requests`,
  );
  await heap.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const [i, number] of numbers.entries()) {
    assert(i === 0 || number === numbers[i - 1] + 1, `cycle ${number} after ${numbers[i - 1]}`);
  }
}

/** 8: objects of all sizes are allocated between remark and flip; with `fill` until the heap is full. */
async function black({ options, fill, cycles }) {
  const result = await withHeap(
    { heap: 4 * 1024 * 1024, trigger: 0.4, ...options, stress: { delayMs: { plan: fill ? 400 : 25 } } },
    (heap, m, list) => {
      const bytes = heap.defineArray('Bytes', 'u8');
      const refs = heap.defineRefArray('Refs');
      const node = heap.defineRecord('Node', { left: 'ref', right: 'ref', value: 'i32' });
      const random = new Random(11);
      m.run(() => {
        m.scope(() => {
          const slots = 64;
          const table = m.local(m.allocateArray(refs, slots));
          const expected = new Array(slots).fill(null);
          const check = (i) => {
            const want = expected[i];
            const ref = m.getElement(m.get(table), i);
            if (want === null) return assert(ref === NULL, 'a slot is not empty');
            const leaf = m.getRef(ref, node.offset.left);
            assert(
              m.i32[(ref + node.offset.value) >> 2] === want.value,
              () => `slot ${i} holds ${m.i32[(ref + node.offset.value) >> 2]} instead of ${want.value}`,
            );
            assert(
              m.length(leaf) === want.length,
              () => `slot ${i}: ${m.length(leaf)} bytes instead of ${want.length}`,
            );
            for (let k = 0; k < want.length; k += 97)
              assert(
                m.u8[leaf + 8 + k] === (hash(want.value, k) & 0xff),
                () => `slot ${i}: byte ${k} is wrong`,
              );
            const back = m.getRef(ref, node.offset.right);
            assert(back === m.get(table), () => `slot ${i}: its table is at ${back}`);
          };
          const end = heap.stats().cycles + cycles;
          let n = 0;
          const goesOn = ({ cycles, stallsUs }) =>
            cycles < end || (fill && stallsUs.count === 0 && cycles < end + 20);
          while (goesOn(heap.stats())) {
            n++;
            // Every now and then the allocations that follow are certainly between remark and flip.
            if (n % 50 === 0) startCycle(heap, m, layout.PHASE_PLAN);
            m.scope(() => {
              const i = random.int(slots);
              const length = random.pick([
                0, 1, 7, 8, 100, 500, 4080, 4088, 4096, 8184, 9000, 20_000, 65_528, 70_000,
              ]);
              const leaf = m.local(m.allocateArray(bytes, fill && length < 9000 ? 9000 : length));
              const real = m.length(m.get(leaf));
              for (let k = 0; k < real; k += 97) m.u8[m.get(leaf) + 8 + k] = hash(n, k);
              const ref = m.allocate(node);
              m.i32[(ref + node.offset.value) >> 2] = n;
              m.setRef(ref, node.offset.left, m.get(leaf));
              m.setRef(ref, node.offset.right, m.get(table));
              m.setElement(m.get(table), i, ref);
              expected[i] = { value: n, length: real };
              for (let k = 0; k < 8; k++) check(random.int(slots));
            });
          }
          m.collect();
          for (let i = 0; i < slots; i++) check(i);
        });
      });
      return { stalls: heap.stats().stallsUs.count, list };
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  const blackBytes = result.list.reduce((total, report) => total + report.blackBytes, 0);
  return { blackBytes, stalls: result.stalls };
}

/** 11: thousands of holders whose references are swapped, hidden in locals and put back while cycles run (ART run-test 102). */
async function hide({ options, holders, cycles }) {
  const shared = await createHeap({ heap: 16 * 1024 * 1024, trigger: 0.05, ...options });
  const types = {
    node: shared.defineRecord('Holder', { held: 'ref', value: 'i32' }),
    refs: shared.defineRefArray('Refs'),
  };
  const threads = [1, 2].map((seed) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { shared: shared.share(), types, holders, cycles, seed, hide: true },
    });
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  });
  const m = shared.attach();
  hideAndSeek(shared, m, types, holders, cycles, 0);
  m.detach();
  await Promise.all(threads);
  const result = shared.stats();
  await shared.close();
  return { cycles: result.cycles };
}

function hideAndSeek(heap, m, { node, refs }, holders, cycles, seed) {
  const random = new Random(seed);
  m.run(() => {
    m.scope(() => {
      const table = m.local(m.allocateArray(refs, holders));
      for (let i = 0; i < holders; i++) {
        m.scope(() => {
          const value = m.allocate(node);
          m.i32[(value + node.offset.value) >> 2] = i;
          const local = m.local(value);
          const holder = m.allocate(node);
          m.setRef(holder, node.offset.held, m.get(local));
          m.setElement(m.get(table), i, holder);
        });
      }
      const end = heap.stats().cycles + cycles;
      const hidden = m.local(NULL);
      while (heap.stats().cycles < end) {
        for (let k = 0; k < 200; k++) {
          // The reference leaves one holder, is nowhere in the heap for a moment that may contain a safepoint, and enters another.
          const a = random.int(holders);
          const b = random.int(holders);
          let from = m.getElement(m.get(table), a);
          m.set(hidden, m.getRef(from, node.offset.held));
          m.setRef(from, node.offset.held, NULL);
          if (k % 10 === 0) m.allocate(node);
          else if (k % 3 === 0) m.safepoint();
          const to = m.getElement(m.get(table), b);
          const other = m.getRef(to, node.offset.held);
          m.setRef(to, node.offset.held, m.get(hidden));
          from = m.getElement(m.get(table), a);
          if (a !== b) m.setRef(from, node.offset.held, other);
          m.set(hidden, NULL);
        }
      }
      const seen = new Uint8Array(holders);
      for (let i = 0; i < holders; i++) {
        const value = m.getRef(m.getElement(m.get(table), i), node.offset.held);
        assert(value !== NULL, `holder ${i} holds nothing`);
        const is = m.i32[(value + node.offset.value) >> 2];
        assert(is >= 0 && is < holders && seen[is] === 0, `holder ${i} holds ${is}, twice or out of range`);
        seen[is] = 1;
      }
    });
  });
}

/** 17: the kernels bring no data into the heap's memory. */
function noData() {
  const wasm = readFileSync(new URL('../../../../dist/src/gc/kernels.wasm', import.meta.url));
  const sections = [];
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++];
      size |= (byte & 0x7f) << shift;
      if (byte < 128) break;
    }
    sections.push(id);
    at += size;
  }
  // 11 is the data section, 8 a start function, 12 the count of data segments.
  assert(sections.includes(10) && !sections.includes(11) && !sections.includes(8), `sections ${sections}`);
}

/** 18: what fails in the collector's thread reaches the program as the class, code and fields that it had. */
async function errors() {
  // The first dozen calls are rehearsals and warm-up cycles, before there is a heap.
  const { TospaceError } = await import('./support.mjs');
  const heap = await createHeap({
    heap: 1024 * 1024,
    stress: { injection: [{ call: 'mremap', nth: 20, errno: 12, thread: 'collector' }] },
  });
  const abandoned = [];
  heap.on('abandoned', (error) => abandoned.push(error));
  const m = heap.attach();
  const thrown = [];
  m.run(() => {
    for (let i = 0; i < 12; i++) {
      try {
        m.collect();
      } catch (error) {
        thrown.push(error);
      }
    }
  });
  m.detach();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await heap.close();
  assert(
    thrown.length === 1 && thrown[0] instanceof TospaceError && thrown[0].code === 'ERR_SYSCALL',
    `thrown: ${thrown}`,
  );
  assert(abandoned.length === 1 && abandoned[0] instanceof TospaceError, `abandoned: ${abandoned}`);
  const { code, syscall, errno, errnoName, hint } = abandoned[0];
  assert(
    code === 'ERR_OUT_OF_MEMORY' &&
      syscall === 'mremap' &&
      errno === 12 &&
      errnoName === 'ENOMEM' &&
      hint.length > 0,
    JSON.stringify(abandoned[0]),
  );
}

if (isMainThread) {
  await main({
    mappings,
    lateFaults,
    signals,
    refusals,
    freshPage,
    zeroes,
    manyRequests,
    black,
    hide,
    noData,
    errors,
  });
} else {
  const heap = attachHeap(workerData.shared);
  const m = heap.attach();
  if (workerData.hide) {
    hideAndSeek(heap, m, workerData.types, workerData.holders, workerData.cycles, workerData.seed);
  } else {
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, workerData.node, 3000);
        for (let i = 0; i < workerData.collections; i++) {
          m.collect();
          checkList(m, workerData.node, head, 3000);
        }
      });
    });
  }
  m.detach();
  parentPort.postMessage('done');
}
