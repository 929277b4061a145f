// What observers see of a heap that works: every fact of a trace is compared with the reports and the statistics of the same heap.
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as later } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { TRACE_BYTES } from '../../../../dist/src/heap/trace-layout.js';
import { addressOf } from 'tospace/uffd';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  HeapObserver,
  layout,
  main,
  NULL,
  sleep,
  thrownBy,
  isTospaceError,
} from './support.mjs';

const MIB = 2 ** 20;
/** What the clocks of two threads may be apart, and the collector's look at the clock from its effect, in microseconds. */
const SKEW_US = 50;

const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);
const near = (a, b, off) => Math.abs(a - b) <= off;

/** Allocates records, of which the last few thousand live, until `stop` is set; reaches safepoints all the time. */
function work(mutator, type, stop) {
  mutator.run(() =>
    mutator.scope(() => {
      const head = mutator.local(NULL);
      for (let i = 1; Atomics.load(stop, 0) === 0; i++) {
        const ref = mutator.allocate(type);
        mutator.setRef(ref, type.offset.next, mutator.get(head));
        mutator.set(head, i % 20_000 === 0 ? NULL : ref);
      }
    }),
  );
}

function poll(mutator, stop) {
  while (Atomics.load(stop, 0) === 0) mutator.safepoint();
}

if (!isMainThread) {
  const { shared, type, stop, name } = workerData;
  const mutator = attachHeap(shared).attach({ name });
  Atomics.add(stop, 1, 1);
  // Who never waits for room is stopped by every pause.
  if (name === 'right') mutator.run(() => poll(mutator, stop));
  else work(mutator, type, stop);
  mutator.detach();
}

const exited = (worker) => new Promise((resolve) => worker.once('exit', resolve));

/** The events of one thread must be nested or apart. */
function assertNested(events, what) {
  const open = [];
  for (const event of events) {
    const end = event.startUs + event.durationUs;
    while (open.length > 0 && open.at(-1) <= event.startUs) open.pop();
    assert(
      open.length === 0 || end <= open.at(-1) + 0.01,
      () => `${what} overlaps: ${JSON.stringify(event)}`,
    );
    open.push(end);
  }
}

const PHASES = {
  concurrent: ['mark', 'remark', 'references', 'plan', 'flip', 'compact', 'close'],
  'stop-the-world': ['prepare', 'stop', 'mark', 'references', 'plan', 'flip', 'compact', 'resume', 'close'],
};
const PAUSES = { concurrent: ['remark', 'flip'], 'stop-the-world': ['full'] };
const STEPS = {
  remark: ['stop', 'retire', 'trace', 'resume'],
  flip: ['stop', 'plan', 'move', 'map', 'register', 'hide', 'roots', 'resume'],
  full: ['stop', 'work', 'resume'],
};

function checkCycle(events, cycle, report, collector) {
  const of = (type) => events.filter((event) => event.type === type && event.cycle === cycle.cycle);
  const [start] = of('cycle-start');
  assert(start.startUs === cycle.startUs && start.cause === cycle.cause, 'a cycle starts when it starts');
  assert(report.cause === cycle.cause, 'report and trace give the same cause');
  assert(near(report.startMs * 1000, cycle.startUs, 1), () => `starts: ${report.startMs} ${cycle.startUs}`);
  assert(near(report.durationMs * 1000, cycle.durationUs, 1), 'report and trace agree on the duration');
  const phases = of('phase');
  const names = phases.map(({ phase }) => phase);
  assert(names.join() === PHASES[collector].join(), () => `phases ${names}`);
  let end = cycle.startUs;
  for (const { phase, startUs, durationUs } of phases) {
    assert(near(startUs, end, 0.01), () => `a gap before ${phase}`);
    end = startUs + durationUs;
    assert(near(report.phasesMs[phase] * 1000, durationUs, 1), () => `phase ${phase} in report and trace`);
  }
  assert(near(end, cycle.startUs + cycle.durationUs, 0.01), 'the phases end with the cycle');
  assert(near(sum(Object.values(report.phasesMs)), report.durationMs, 0.01), 'the phases add up');
  // A heap that verifies has one pause, and steps, more.
  const pauses = of('pause').filter(({ pause }) => pause !== 'verify');
  const kinds = pauses.map(({ pause }) => pause);
  assert(kinds.join() === PAUSES[collector].join(), () => `pauses ${kinds}`);
  for (const [i, pause] of pauses.entries()) {
    const reported = report.pauses[i];
    const steps = Object.keys(pause.stepsUs).filter((step) => step !== 'verify');
    assert(steps.join() === STEPS[pause.pause].join(), () => `steps ${steps}`);
    assert(near(sum(Object.values(pause.stepsUs)), pause.durationUs, 0.1), 'the steps add up to the pause');
    assert(near(reported.durationUs, pause.durationUs, 0.1), 'report and trace agree on a pause');
    assert(near(reported.startMs * 1000, pause.startUs, 1), 'report and trace agree on its beginning');
    for (const [step, us] of Object.entries(reported.stepsUs))
      assert(us >= 0 && near(us, pause.stepsUs[step], 0.1), () => `step ${step} in report and trace`);
    const phase = phases.find((one) => one.phase === (pause.pause === 'full' ? 'stop' : pause.pause));
    assert(pause.startUs >= phase.startUs - 0.01, 'a pause begins in its phase');
    const last = pause.pause === 'full' ? phases.find((one) => one.phase === 'resume') : phase;
    assert(
      pause.startUs + pause.durationUs <= last.startUs + last.durationUs + 0.01,
      'a pause ends in its phase',
    );
  }
  for (const step of ['move', 'map', 'register'])
    if (collector === 'concurrent')
      assert(near(report.pauses[1].stepsUs[step], report.flip[`${step}Us`], 0.1), () => `flip ${step}`);
  checkPages(events, cycle, report);
}

/** Every page of to-space in use was built once, by the collector or by a server. */
function checkPages(events, cycle, report) {
  const built = new Map();
  for (const event of events) {
    if (event.startUs < cycle.startUs || event.startUs > cycle.startUs + cycle.durationUs) continue;
    if (event.space !== 'heap') continue;
    if (event.type === 'fault' && event.outcome !== 'built') continue;
    if (event.type !== 'fault' && event.type !== 'pages') continue;
    for (let i = 0; i < (event.pages ?? 1); i++)
      built.set(event.page + i, (built.get(event.page + i) ?? 0) + 1);
  }
  const pages = report.usedBytesAfter / 4096;
  assert(built.size === pages, () => `cycle ${cycle.cycle}: ${built.size} of ${pages} pages built`);
  for (const [page, times] of built)
    assert(page < pages && times === 1, () => `page ${page} was built ${times} times`);
}

const scenarios = {
  /** A thread that does not return to its event loop for more cycles than it is told of. */
  async deaf({ collector, cycles }) {
    const heap = await createHeap({ heap: MIB, collector });
    const told = { start: 0, cycle: 0 };
    for (const event of Object.keys(told)) heap.on(event, () => told[event]++);
    const m = heap.attach();
    const collect = (count) =>
      m.run(() => {
        for (let i = 0; i < count; i++) m.collect();
      });
    collect(cycles);
    const before = { ...told };
    const { cycles: done, unreportedCycles } = heap.stats();
    const until = performance.now() + 20_000;
    while (told.cycle < done - unreportedCycles && performance.now() < until) await later(5);
    const after = { ...told };
    collect(1);
    while (told.cycle === after.cycle && performance.now() < until) await later(5);
    m.detach();
    await heap.close();
    return { done, unreportedCycles, before, after, end: told };
  },

  /** Three threads mutate, cycles run, and everything that is told is compared. */
  async timeline({ options, cycles = 3 }) {
    const heap = await createHeap({ heap: 8 * MIB, trigger: 0.3, ...options });
    const { collector } = heap.options;
    const reports = [];
    const starts = [];
    heap.on('cycle', (report) => reports.push(report));
    heap.on('start', (start) => starts.push(start));
    const entries = [];
    const observer = new HeapObserver((list) => entries.push(...list.getEntries()));
    observer.observe({ entryTypes: ['gc'] });
    const type = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
    const before = heap.stats();
    const recorder = heap.trace();
    const second = heap.trace();
    // 1 ends the threads; how many there are.
    const stop = new Int32Array(new SharedArrayBuffer(8));
    const workers = ['left', 'right'].map(
      (name) =>
        new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), type, stop, name } }),
    );
    const exits = workers.map(exited);
    const events = [];
    const mutator = heap.attach({ name: 'first' });
    const until = performance.now() + 40_000;
    while (Atomics.load(stop, 1) < workers.length) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      // The first one works already: nothing of it may be lost.
      events.push(...recorder.read());
    }
    const enough = heap.stats().cycles + cycles;
    while (heap.stats().cycles < enough) {
      assert(performance.now() < until, 'cycles run');
      mutator.run(() => {
        for (let i = 0; i < 20_000; i++) mutator.allocate(type);
      });
      events.push(...recorder.read());
      await new Promise((resolve) => setImmediate(resolve));
    }
    Atomics.store(stop, 0, 1);
    await Promise.all(exits);
    // Answers whatever was asked for, so that nothing runs any more.
    mutator.run(() => mutator.collect());
    mutator.run(() => mutator.collect());
    mutator.detach();
    events.push(...recorder.read());
    const after = heap.stats();
    recorder.close();
    await heap.close();
    observer.disconnect();
    // What was still under way, or had just ended, when the last collect() returned.
    events.push(...recorder.read());
    events.sort((a, b) => a.startUs - b.startUs || b.durationUs - a.durationUs);
    const all = second.read();
    second.close();
    assert(second.lost > 0 || all.length >= events.length, 'two recorders see the same');
    assert(recorder.lost === 0, () => `${recorder.lost} events were lost`);

    const of = (type) => events.filter((event) => event.type === type);
    const done = of('cycle');
    assert(
      done.every((cycle, i) => cycle.cycle === i && cycle.outcome === 'completed'),
      'cycles are numbered',
    );
    assert(done.length === reports.length && done.length === starts.length, 'every cycle is told');
    assert(
      done.length === after.cycles && of('cycle-start').length === done.length,
      () => `${done.length} of ${after.cycles}`,
    );
    for (const [i, cycle] of done.entries()) {
      checkCycle(events, cycle, reports[i], collector);
      assert(starts[i].cycle === i && starts[i].cause === cycle.cause, 'starts are told');
      assert(near(starts[i].startMs * 1000, cycle.startUs, 1), 'a start is told with its time');
    }
    const collectors = of('pause');
    assert(entries.length <= collectors.length, 'entries of the observer are pauses');
    assert(of('counters').length === of('phase').length + done.length, 'counters at every boundary');
    for (const { usedBytes, sharedBytes, softLimitBytes } of of('counters'))
      assert(usedBytes >= 0 && sharedBytes > 0 && softLimitBytes > 0, 'counters count');

    // Threads, each with its own name, and each with events that do not overlap.
    const threads = new Map();
    for (const event of events) {
      if (event.type === 'counters' || event.type === 'cycle-start') continue;
      const { kind, index } = event.thread;
      const list = threads.get(`${kind} ${index}`) ?? [];
      list.push(event);
      threads.set(`${kind} ${index}`, list);
    }
    for (const [name, list] of threads) assertNested(list, name);
    const names = of('attached').map(({ thread }) => thread.name);
    assert(names.sort().join() === 'first,left,right', () => `attached ${names}`);
    assert(of('detached').length === 3, 'three threads detached');

    // What mutators saw.
    for (const kind of ['remark', 'flip', 'full']) {
      const seen = of('stopped').filter(({ pause }) => pause === kind);
      const { count, max } = after.pausesUs[kind];
      assert(seen.length === count, () => `${kind}: ${seen.length} in the trace, ${count} counted`);
      const longest = Math.max(0, ...seen.map(({ durationUs }) => durationUs));
      assert(near(longest, max, 0.01), () => `${kind}: longest ${longest} in the trace, ${max} counted`);
      for (const { startUs } of seen) {
        // No sooner than that. Later, by as much as a thread may lose its CPU in between.
        const asked = collectors.some((pause) => pause.pause === kind && startUs >= pause.startUs - SKEW_US);
        assert(asked, () => `a mutator stopped for a ${kind} that nobody asked for`);
      }
    }
    const longest = Math.max(0, ...of('stopped').map(({ durationUs }) => durationUs));
    for (const { mutatorPauseMaxUs } of reports)
      assert(mutatorPauseMaxUs <= longest + 0.01, () => `${mutatorPauseMaxUs} is longer than ${longest}`);
    assert(of('stall').length === after.stallsUs.count - before.stallsUs.count, 'stalls are as counted');

    // Faults and pages.
    const faults = of('fault');
    assert(faults.length === after.faults.count, () => `${faults.length} faults of ${after.faults.count}`);
    for (const outcome of ['shared', 'late'])
      assert(
        faults.filter((fault) => fault.outcome === outcome).length === after.faults[outcome],
        () => `${outcome} faults are as counted`,
      );
    assert(sum(faults.map(({ eagain }) => eagain)) <= after.faults.eagain, 'EAGAINs are as counted');
    const builtBy = after.faults.pagesBuiltBy.map((pages, i) => pages - before.faults.pagesBuiltBy[i]);
    assert(
      faults.filter(({ outcome }) => outcome === 'built').length === sum(builtBy.slice(1)),
      'pages that servers built',
    );
    if (collector === 'concurrent')
      assert(sum(of('pages').map(({ pages }) => pages)) === builtBy[0], 'pages that the collector built');
    return {
      cycles: done.length,
      stopped: of('stopped').length,
      seen: reports.filter(({ mutatorPauseMaxUs }) => mutatorPauseMaxUs > 0).length,
      faults: faults.length,
      entries: entries.length,
    };
  },

  /** Nobody traces: no page of the rings is touched. Then somebody does: as much as the two threads need. */
  async off({ options }) {
    const heap = await createHeap({ heap: 16 * MIB, ...options });
    const { traces } = heap.share().arena.geometry;
    const touched = () => {
      const first = (addressOf(new Uint8Array(heap.memory.buffer)) + traces) / 4096;
      const entries = new BigUint64Array(TRACE_BYTES / 4096);
      const fd = openSync('/proc/self/pagemap', 'r');
      readSync(fd, entries, 0, entries.byteLength, first * 8);
      closeSync(fd);
      // Bit 63: present, bit 62: swapped out.
      return entries.reduce((count, entry) => count + (entry >> 62n === 0n ? 0 : 1), 0);
    };
    const type = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
    const m = heap.attach();
    const cycle = () =>
      m.run(() => {
        for (let i = 0; i < 50_000; i++) m.allocate(type);
        m.collect();
      });
    for (let i = 0; i < 3; i++) cycle();
    const off = touched();
    const recorder = heap.trace();
    cycle();
    const events = recorder.read().length;
    const on = touched();
    m.detach();
    await heap.close();
    assert(
      isTospaceError(
        thrownBy(() => heap.trace()),
        'ERR_STATE',
      ),
      'a closed heap cannot be traced',
    );
    return { off, on, events };
  },

  async causes() {
    const seen = [];
    const withHeap = async (options, body) => {
      const heap = await createHeap(options);
      heap.on('cycle', ({ cause }) => seen.push(cause));
      const bytes = heap.defineArray('Bytes', 'u8');
      const m = heap.attach();
      await body(heap, m, bytes);
      m.detach();
      await heap.close();
    };
    // Until they are over, and nothing is asked for any more: a suggestion counts only then.
    const until = async (heap, cycles) => {
      const words = control(heap);
      const answered = () => words[layout.CTL_CYCLES_ASKED] === words[layout.CTL_CYCLES_DONE];
      for (const end = performance.now() + 30_000; heap.stats().cycles < cycles || !answered(); )
        await new Promise((resolve) => {
          assert(performance.now() < end, () => `waiting for cycle ${cycles}: ${seen}`);
          setTimeout(resolve, 5);
        });
    };
    const fixed = { heap: MIB, largeObject: 2 ** 31, trigger: 0.95 };
    await withHeap(fixed, async (_, m, bytes) => {
      m.run(() => m.collect());
      m.run(() => {
        for (let i = 0; i < 2; i++) m.allocateArray(bytes, 600_000);
      });
    });
    await withHeap({ ...fixed, trigger: 0.05 }, async (heap, m, bytes) => {
      m.run(() => m.allocateArray(bytes, 100_000));
      await until(heap, 1);
    });
    await withHeap({ ...fixed, nonMoving: 4 * MIB }, async (heap, m, bytes) => {
      m.run(() => m.allocatePinnedArray(bytes, 3 * MIB));
      await until(heap, 1);
      m.adjustExternalBytes(2 ** 30);
      await until(heap, 2);
    });
    await withHeap({ heap: 16 * MIB, idleCollectMs: 50 }, async (heap, m, bytes) => {
      m.run(() => {
        for (let i = 0; i < 30; i++) m.allocateArray(bytes, 100_000);
      });
      await until(heap, 1);
    });
    return seen;
  },

  /** What dies in the non-moving space is counted: two objects with pages of their own, and three in cells. */
  async freed() {
    const heap = await createHeap({ heap: 4 * MIB });
    const freed = [];
    heap.on('cycle', ({ nonMovingFreed }) => freed.push(nonMovingFreed));
    const bytes = heap.defineArray('Bytes', 'u8');
    const m = heap.attach();
    m.run(() => {
      m.local(m.allocatePinnedArray(bytes, 10_000));
      m.local(m.allocatePinnedArray(bytes, 100));
      m.collect();
      for (let i = 0; i < 2; i++) m.allocatePinnedArray(bytes, 2 * 4096 - 8);
      for (let i = 0; i < 3; i++) m.allocatePinnedArray(bytes, 56);
      m.collect();
      m.collect();
    });
    m.shadowStack.truncate(0);
    m.detach();
    await heap.close();
    return freed;
  },

  /** A cycle whose flip the kernel refuses. */
  async abandoned() {
    // The warm-up and rehearsals take calls as well: the first call from which creating the heap succeeds.
    for (let nth = 10; nth < 200; nth++) {
      let failing;
      try {
        failing = await createHeap({
          heap: 4 * MIB,
          log: 'cycles',
          stress: { injection: [{ call: 'mremap', thread: 'collector', nth, errno: 12 }] },
        });
      } catch {
        continue;
      }
      const errors = [];
      failing.on('abandoned', (error) => errors.push(error.code));
      const recorder = failing.trace();
      const m = failing.attach();
      const error = thrownBy(() => m.run(() => m.collect()));
      m.run(() => m.collect());
      m.detach();
      await failing.close();
      const outcomes = recorder.read().filter(({ type }) => type === 'cycle');
      return { code: error.code, errors, outcomes: outcomes.map(({ outcome, cycle }) => [outcome, cycle]) };
    }
    throw new Error('no call of mremap was refused');
  },

  /** What is called in a wrong way is an error at once, and a listener may be taken away again. */
  async wrongCalls() {
    const heap = await createHeap({ heap: 4 * MIB });
    const code = (body) => thrownBy(body).code;
    const codes = {
      name: code(() => heap.attach({ name: 42 })),
      shared: code(() => attachHeap({})),
      maxBytes: code(() => heap.snapshot({ maxBytes: '1' })),
      attachedListener: code(() => attachHeap(heap.share()).on('cycle', () => {})),
    };
    let told = 0;
    heap.listener = { cycleStarted: () => told++ };
    const m = heap.attach();
    const collect = async () => {
      const over = new Promise((resolve) => heap.once('cycle', resolve));
      m.run(() => m.collect());
      await over;
    };
    await collect();
    heap.listener = undefined;
    await collect();
    m.detach();
    await heap.close();
    return { ...codes, told };
  },

  /** The main thread is busy in run() all the time: lines appear all the same. */
  async log({ options }) {
    const heap = await createHeap({ heap: 4 * MIB, log: 'cycles', ...options });
    const m = heap.attach();
    m.run(() => {
      for (let i = 0; i < 5; i++) m.collect();
    });
    sleep(1);
    m.detach();
    await heap.close();
    return heap.options.log;
  },
};

if (isMainThread) await main(scenarios);
