// What a heap takes from the system, and whether it gives it back.

import { readFileSync } from 'node:fs';
import {
  assert,
  buildList,
  checkList,
  createHeap,
  isTospaceError,
  main,
  memfdMappings,
  openDescriptors,
  reported,
  threadCount,
  withHeap,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const MIB = 1024 * 1024;

async function use(heap) {
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, 2000);
      if (heap.options.collector !== 'none') m.collect();
      checkList(m, node, head, 2000);
    });
  });
  m.detach();
}

/** Closes, again if the first attempt is refused. */
async function close(heap) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await heap.close();
    } catch (error) {
      assert(
        isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY') && attempt < 3,
        `close() threw ${error}`,
      );
    }
  }
}

async function warmUp() {
  const heap = await createHeap({ heap: MIB });
  await use(heap);
  await heap.close();
}

/** Descriptors and mappings; threads end a moment after they were told to. */
async function settled(expected) {
  let now;
  for (let i = 0; i < 200; i++) {
    now = { descriptors: openDescriptors(), mappings: memfdMappings() };
    if (now.descriptors <= expected.descriptors && now.mappings <= expected.mappings) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return now;
}

/** The delay of a rule, and of nobody else: that the creator's thread sleeps for so long says that the rule has struck. */
const STRUCK_MS = 0.0625;
let struck = false;
const wait = Atomics.wait;
Atomics.wait = (array, i, value, ms) => {
  if (ms !== STRUCK_MS) return wait(array, i, value, ms);
  struck = true;
  return 'timed-out';
};

/** A call of the creator fails at its first, second, … time, until a whole life of a heap no longer meets the failure; at most `upTo`, with later errnos `later` times. */
async function creations({ call, errnos, upTo, later, options }) {
  await warmUp();
  const before = { descriptors: openDescriptors(), mappings: memfdMappings() };
  const outcomes = [];
  for (const [i, errno] of errnos.entries()) {
    struck = true;
    for (let nth = 1; nth <= (i === 0 ? upTo : later) && struck; nth++) {
      struck = false;
      let heap;
      try {
        const injection = [{ call, nth, errno, delayMs: STRUCK_MS, thread: 'creator' }];
        heap = await createHeap({ heap: MIB, ...options, stress: { injection } });
      } catch (error) {
        assert(
          isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY', 'ERR_PERMISSION', 'ERR_UNSUPPORTED'),
          `createHeap threw ${error.stack}`,
        );
        outcomes.push(`#${nth}: ${error.code}`);
      }
      if (heap !== undefined) {
        await use(heap);
        await close(heap);
        outcomes.push(`#${nth}: works`);
      }
      const after = await settled(before);
      assert(
        after.descriptors <= before.descriptors && after.mappings <= before.mappings,
        `${call} #${nth} ${errno}: ${JSON.stringify({ before, after })}`,
      );
    }
  }
  return outcomes;
}

async function keepFailing() {
  await warmUp();
  const before = { descriptors: openDescriptors(), mappings: memfdMappings() };
  const outcomes = [];
  for (const call of ['mmap', 'memfdCreate', 'ftruncate', 'munmap', 'eventfd', 'ioctl', 'userfaultfd']) {
    for (let nth = 1; nth <= 4; nth++) {
      try {
        const heap = await createHeap({
          heap: MIB,
          stress: { injection: [{ call, nth, every: true, errno: 12, thread: 'creator' }] },
        });
        try {
          await heap.close();
        } catch (error) {
          assert(isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY'), `close() threw ${error}`);
        }
        outcomes.push(`${call} ${nth} works`);
      } catch (error) {
        assert(isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY'), `createHeap threw ${error.stack}`);
        outcomes.push(`${call} ${nth} ${error.code}`);
      }
      const after = await settled({ ...before });
      assert(
        after.descriptors <= before.descriptors,
        `${call} every ${nth}: ${JSON.stringify({ before, after, outcomes })}`,
      );
    }
  }
  return outcomes;
}

/** Many heaps, one after the other: the process holds at the end what it held at the beginning. */
async function inARow({ options, heaps }) {
  await warmUp();
  const before = { descriptors: openDescriptors(), mappings: memfdMappings(), threads: threadCount() };
  for (let i = 0; i < heaps; i++) {
    const heap = await createHeap({ heap: 4 * MIB, ...options });
    await use(heap);
    await heap.close();
    await heap.close();
  }
  const after = await settled(before);
  for (let i = 0; i < 200 && threadCount() > before.threads; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert(
    after.descriptors <= before.descriptors && after.mappings <= before.mappings,
    JSON.stringify({ before, after }),
  );
  assert(threadCount() <= before.threads, `${threadCount()} threads after ${before.threads}`);
  return { before, after };
}

/** Several heaps at once, in different modes, used in turns; closing one leaves the others alone. */
async function several() {
  const modes = [{}, { fill: 'copy' }, { collector: 'stop-the-world' }, { retention: 'release', servers: 2 }];
  const heaps = await Promise.all(modes.map((mode) => createHeap({ heap: 8 * MIB, trigger: 0.1, ...mode })));
  const users = heaps.map((heap) => ({ heap, m: heap.attach(), node: heap.defineRecord('Node', NODE) }));
  for (const user of users)
    user.m.run(() => {
      user.head = buildList(user.m, user.node, 20_000);
    });
  for (let round = 0; round < 12; round++) {
    for (const { m, node, head, heap } of users.slice(round > 8 ? 1 : 0)) {
      m.run(() => {
        for (let i = 0; i < 50_000; i++) m.allocate(node);
        if (round % 3 === 0) m.collect({ release: round % 2 === 0 });
        checkList(m, node, head, 20_000);
        assert(typeof heap.stats().phase === 'string', 'statistics answer');
      });
    }
    if (round === 8) {
      users[0].m.run(() => users[0].m.shadowStack.truncate(0));
      users[0].m.detach();
      await users[0].heap.close();
    }
  }
  for (const { m, heap } of users) {
    m.detach();
    await heap.close();
  }
}

/** The memory of a heap full of garbage is the system's again after collect({ release: true }). */
async function givesBack({ options }) {
  return withHeap({ heap: 64 * MIB, trigger: 0.95, largeObject: 2 ** 31, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', NODE);
    const { memfds } = heap.share().arena;
    const inode = (fd) => /ino:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    const resident = () => {
      // Rss of the heap's mappings, as the kernel counts it.
      let total = 0;
      let ours = false;
      for (const line of readFileSync('/proc/self/smaps', 'latin1').split('\n')) {
        if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ours = line.includes('/memfd:tospace');
        else if (ours && line.startsWith('Rss:')) total += Number(/\d+/.exec(line)[0]) * 1024;
      }
      return total;
    };
    let full = 0;
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, node, 1000);
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 50 * MIB; i += MIB) m.u8.fill(1, m.allocateArray(bytes, MIB - 8) + 8, 0);
          for (let i = 0; i < 40; i++) {
            const ref = m.allocateArray(bytes, MIB - 8);
            m.u8.fill(1, ref + 8, ref + MIB - 8);
          }
          full = Math.max(full, resident());
          m.collect({ release: true });
          checkList(m, node, head, 1000);
        }
      });
    });
    const { sharedBytes } = heap.stats();
    const after = resident();
    assert(memfds.length === 2 && inode(memfds[0]) !== '', 'two files');
    assert(full > 16 * MIB, `only ${full} bytes were resident`);
    assert(sharedBytes < MIB, `the heap still holds ${sharedBytes} bytes`);
    // Aliases count twice.
    assert(after < 2 * MIB, `${after} bytes of the heap are resident`);
    return { full, sharedBytes, after };
  });
}

/** The most memory that both files held during compactions of several shapes of heap. */
async function peaks({ options, shape, mib }) {
  return withHeap({ heap: mib * MIB, trigger: 0.95, ...options }, async (heap, m, reports) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    const count = Math.floor((mib * 0.8 * MIB) / 4096);
    m.run(() => {
      m.scope(() => {
        const table = m.local(m.allocateArray(refs, count));
        for (let i = 0; i < count; i++) {
          const ref = m.allocateArray(bytes, 4096 - 8);
          m.u8.fill(i, ref + 8, ref + 4096);
          const live = {
            all: true,
            half: i % 2 === 0,
            low: i < count / 2,
            high: i >= count / 2,
            tenth: i % 10 === 0,
            none: false,
          }[shape];
          if (live) m.setElement(m.get(table), i, ref);
        }
        m.collect();
        m.collect();
        for (let i = 0; i < count; i++) {
          const ref = m.getElement(m.get(table), i);
          if (ref !== 0)
            assert(m.u8[ref + 8] === (i & 0xff) && m.u8[ref + 4095] === (i & 0xff), `array ${i} is damaged`);
        }
      });
    });
    await reported(heap, reports);
    const used = Math.max(...reports.map((report) => report.usedBytesBefore));
    return { used, peak: heap.stats().sharedBytesPeak };
  });
}

/** A large heap, nearly full, through some cycles; the part `live` of it is alive, at its upper end, and slides down. */
async function large({ options, live }) {
  return withHeap({ trigger: 0.9, largeObject: 2 ** 31, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', NODE);
    const refs = heap.defineRefArray('Refs');
    const size = 8 * MIB;
    const count = Math.floor((heap.options.heap * live) / size);
    // Never written: its pages cost nothing.
    const garbage = () => {
      const used = heap.stats().usedBytes;
      const room = heap.options.heap * 0.8 - used - (count * size) / 3;
      if (room > size) m.allocateArray(bytes, Math.floor(room));
    };
    m.run(() => {
      m.scope(() => {
        const table = m.local(m.allocateArray(refs, count));
        const put = (i, value) => {
          const ref = m.allocateArray(bytes, size - 64);
          m.u8[ref + 8] = value;
          m.u8[ref + 8 + size - 65] = value + 1;
          m.setElement(m.get(table), i, ref);
        };
        m.allocateArray(bytes, Math.floor(heap.options.heap * (0.8 - live)) + 8);
        for (let i = 0; i < count; i++) put(i, i);
        const head = buildList(m, node, 50_000);
        const highest = Math.max(...Array.from({ length: count }, (_, i) => m.getElement(m.get(table), i)));
        assert(highest > 0 && highest < 2 ** 31, `a reference is ${highest}`);
        for (let cycle = 0; cycle < 3; cycle++) {
          for (let i = cycle; i < count; i += 3) m.setElement(m.get(table), i, 0);
          m.collect({ release: cycle === 1 });
          garbage();
          for (let i = cycle; i < count; i += 3) put(i, i);
          for (let i = 0; i < count; i++) {
            const ref = m.getElement(m.get(table), i);
            assert(
              m.u8[ref + 8] === (i & 0xff) && m.u8[ref + 8 + size - 65] === ((i + 1) & 0xff),
              `array ${i} is damaged`,
            );
          }
          checkList(m, node, head, 50_000);
        }
      });
    });
    const { arena } = heap.share();
    return {
      heap: heap.options.heap,
      alignBytes: arena.geometry.alignBytes,
      peak: heap.stats().sharedBytesPeak,
      kind: heap.mode.userfaultfd,
    };
  });
}

/** What an unprivileged user gets. */
async function plain() {
  const heap = await createHeap({ heap: 8 * MIB, trigger: 0.2, stress: { delayMs: { batch: 1 } } });
  const kind = heap.mode.userfaultfd;
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, 50_000);
      while (heap.stats().cycles < 6) {
        for (let i = 0; i < 1000; i++) m.allocate(node);
        checkList(m, node, head, 50_000);
      }
    });
  });
  const faults = heap.stats().faults.count;
  m.detach();
  await heap.close();
  const raise = await createHeap({ pausePriority: 'raise' }).then(
    async (raised) => {
      await raised.close();
      return 'created';
    },
    ({ code }) => code,
  );
  return { kind, faults, uid: process.getuid(), raise };
}

await main({ creations, keepFailing, inARow, several, givesBack, peaks, large, plain });
