// Listeners that misbehave: that throw, collect, close the heap, come and go in the middle of an event.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  assert,
  buildList,
  createHeap,
  HeapObserver,
  isTospaceError,
  layout,
  main,
  startCycle,
  thrownBy,
} from './support.mjs';

const MIB = 1024 * 1024;
const same = (a, b, what) =>
  assert(
    JSON.stringify(a) === JSON.stringify(b),
    () => `${what}: ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`,
  );
const turn = () => new Promise((resolve) => setImmediate(resolve));
const collected = (heap, m) =>
  new Promise((resolve) => {
    heap.once('cycle', resolve);
    m.run(() => m.collect());
  });

/** Everybody throws, all the time: each is an uncaught exception, all are told of everything, and the heap closes. */
async function throwing() {
  const uncaught = [];
  process.on('uncaughtException', (error) => {
    // What this program itself finds wrong is not among what is expected.
    if (error.message.startsWith('assertion')) {
      process.stderr.write(`${error.stack}\n`, () => process.exit(1));
    }
    uncaught.push(error.message);
  });
  const heap = await createHeap({ heap: 4 * MIB });
  const m = heap.attach();
  const told = [];
  const bad = (name) => () => {
    told.push(name);
    throw new Error(name);
  };
  heap.listener = {
    cycleStarted: bad('cycleStarted'),
    phase: (phase) => {
      if (phase === 'plan') bad('phase plan')();
    },
    pause: ({ pause }) => bad(`pause ${pause}`)(),
    cycleEnded: bad('cycleEnded'),
  };
  heap.on('start', bad('start'));
  heap.on('start', bad('second start'));
  heap.on('cycle', bad('cycle'));
  heap.on('cycle', bad('second cycle'));
  const onStart = bad('channel start');
  const onEnd = bad('channel end');
  subscribe('tospace:cycle:start', onStart);
  subscribe('tospace:cycle:end', onEnd);
  let entries = 0;
  const observer = new HeapObserver((list) => {
    entries += list.getEntries().length;
    bad('observer')();
  });
  observer.observe({ entryTypes: ['gc'] });
  const once = [
    'cycleStarted',
    'start',
    'second start',
    'channel start',
    'phase plan',
    'pause remark',
    'pause flip',
    'cycleEnded',
    'cycle',
    'second cycle',
    'channel end',
  ];
  m.run(() => m.collect());
  for (const end = performance.now() + 20_000; uncaught.length < once.length + 1; await turn())
    assert(performance.now() < end, () => `${uncaught}`);
  same(told, [...once, 'observer'], 'all were told');
  same([...uncaught].sort(), [...told].sort(), 'all were heard');
  // A cycle that close() tells of.
  m.run(() => m.collect());
  m.detach();
  await heap.close();
  await turn();
  await turn();
  same([...told].sort(), [...once, 'observer', ...once, 'observer'].sort(), 'told by close');
  same([...uncaught].sort(), [...told].sort(), 'heard of what close told');
  same(entries, 4, 'entries');
  unsubscribe('tospace:cycle:start', onStart);
  unsubscribe('tospace:cycle:end', onEnd);
  observer.disconnect();
}

/** A listener may use the heap: it runs on the event loop. */
async function using() {
  const heap = await createHeap({ heap: 4 * MIB });
  const m = heap.attach();
  const Node = heap.defineRecord('Node', { next: 'ref' });
  let nested = 0;
  heap.listener = {
    cycleStarted() {
      m.run(() => m.allocate(Node));
      heap.snapshot();
    },
    cycleEnded() {
      if (nested++ < 3) m.run(() => m.collect());
    },
  };
  await collected(heap, m);
  for (const end = performance.now() + 20_000; nested < 4; await turn())
    assert(performance.now() < end, 'cycles of cycles');
  // Listeners that come and go in the middle of an event: whoever was there when it began is told.
  heap.listener = undefined;
  const told = [];
  const late = () => told.push('late');
  const gone = () => told.push('gone');
  heap.once('cycle', () => {
    told.push('first');
    heap.off('cycle', gone);
    heap.on('cycle', late);
    heap.listener = { cycleEnded: () => told.push('listener') };
  });
  heap.on('cycle', gone);
  await collected(heap, m);
  same(told, ['first', 'gone'], 'the first cycle');
  await collected(heap, m);
  same(told, ['first', 'gone', 'listener', 'late'], 'the second cycle');
  m.detach();
  await heap.close();
}

/** The heap is closed from a listener, once from the event loop and once while close() tells of the last cycles. */
async function closing() {
  for (const when of ['loop', 'close']) {
    const heap = await createHeap({ heap: 4 * MIB });
    const m = heap.attach();
    let closed;
    let told = 0;
    heap.listener = {
      cycleEnded() {
        told++;
        m.detach();
        closed = heap.close();
      },
    };
    m.run(() => m.collect());
    if (when === 'close') {
      m.detach();
      await heap.close();
    }
    for (const end = performance.now() + 20_000; closed === undefined; await turn())
      assert(performance.now() < end, 'the listener is told');
    await closed;
    assert(told === 1, `told ${told} times`);
    let error;
    try {
      heap.stats();
    } catch (thrown) {
      error = thrown;
    }
    assert(isTospaceError(error, 'ERR_STATE'), 'the heap is closed');
  }
  // An observer outlives heaps, may begin and end when there is none, and ends in its own callback.
  const seen = [];
  const observer = new HeapObserver((list, itself) => {
    seen.push(list.getEntries().length);
    itself.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
  const heap = await createHeap({ heap: 4 * MIB });
  const m = heap.attach();
  m.run(() => m.collect());
  m.detach();
  await heap.close();
  await turn();
  same(seen, [2], 'entries of a heap that is closed');
  observer.disconnect();
}

/** Those who hear of cycles while the heap closes: of earlier ones before, and of one that close() has to finish. */
async function heardAtClose() {
  const told = [];
  const heap = await createHeap({ heap: 4 * MIB });
  heap.on('cycle', ({ cycle }) => {
    told.push([cycle, heap.stats().cycles, heap.mode.collector]);
    // Open still: it may be used.
    if (cycle === 0) heap.attach().detach();
  });
  const m = heap.attach();
  m.run(() => m.collect());
  m.run(() => m.collect());
  m.detach();
  const closing = heap.close();
  same(
    told,
    [
      [0, 2, 'concurrent'],
      [1, 2, 'concurrent'],
    ],
    'reports before the heap closes',
  );
  await closing;
  same(told.length, 2, 'reports');

  // One that is under way.
  const other = await createHeap({ heap: 4 * MIB, stress: { delayMs: { batch: 20 } } });
  const node = other.defineRecord('Node', { next: 'ref', value: 'i32' });
  const seen = [];
  other.on('cycle', () => seen.push(other.stats().cycles));
  const n = other.attach();
  n.run(() =>
    n.scope(() => {
      buildList(n, node, 20_000);
      startCycle(other, n, layout.PHASE_COMPACT);
    }),
  );
  n.detach();
  await other.close();
  same(seen, [1], 'the cycle that close() finished');
  assert(
    isTospaceError(
      thrownBy(() => other.stats()),
      'ERR_STATE',
    ),
    'closed',
  );
}

await main({ throwing, using, closing, heardAtClose });
