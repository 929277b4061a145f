// userfaultfd: the EVENT_* features. Each makes a call wait for whoever reads the event: the calls are made by other threads.
// Origin: "userfaultfd-unit-tests" means uffd-unit-tests.c of the kernel's selftests (mm); the others are this project's own.
//
//   EVENT_REMOVE: who waits, what is refused meanwhile                       userfaultfd-unit-tests (events)
//   EVENT_REMOVE does not see the hole that is punched through the file      own
//   EVENT_REMAP: a move, MREMAP_DONTUNMAP, and both without the feature      userfaultfd-unit-tests (events), own
//   EVENT_UNMAP                                                              own
//   fork with and without EVENT_FORK; exit and exec of the child             userfaultfd-unit-tests (events)
//   close-on-exec                                                            own
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  EAGAIN,
  ENOENT,
  ESRCH,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MADV_REMOVE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  O_CLOEXEC,
  O_NONBLOCK,
  SYS_EXECVE,
  SYS_FALLOCATE,
  SYS_IOCTL,
  SYS_MADVISE,
  SYS_MREMAP,
  SYS_MUNMAP,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_POISON,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_MOVE,
  UFFDIO_POISON,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  UFFDIO_WRITEPROTECT,
  UFFDIO_ZEROPAGE,
  VM_FLAG_UFFD_MISSING,
} from '#src/uffd/index.js';
import { useActors, waitFor } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { PAGE } from './support/memory.ts';
import { NativeChild, NativeCode } from './support/native.ts';
import { mappingAt, parseMappings } from './support/proc.ts';
import { executableMemory, feature, userfaultfd } from './support/requirements.ts';
import { type Area, mapAnonymous, privateArea, reserved, sharedArea } from './support/scratch.ts';
import { source, Watcher } from './support/watcher.ts';

const MISSING = UFFDIO_REGISTER_MODE_MISSING;
const BOTH = UFFDIO_REGISTER_MODE_MISSING_MINOR;
const EVENTS = UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;
const events = { requires: feature(EVENTS, 'the EVENT features') };
const native = { requires: [userfaultfd, executableMemory] };
// This one needs CAP_SYS_PTRACE: its reader is given a descriptor for the memory of another process.
const forks = { requires: [feature(UFFD_FEATURE_EVENT_FORK, 'EVENT_FORK'), executableMemory] };
const actors = useActors(3);

const watched = (address: number): boolean => mappingAt(address)?.flags.has(VM_FLAG_UFFD_MISSING) ?? false;

describe('EVENT_REMOVE', () => {
  for (const [name, advice, kind] of [
    ['MADV_DONTNEED of private memory', MADV_DONTNEED, 'private'],
    ['MADV_DONTNEED of shared memory', MADV_DONTNEED, 'shared'],
    ['MADV_REMOVE of shared memory', MADV_REMOVE, 'shared'],
  ] as const) {
    conformance(`${name} waits until the event is read, deaf to signals, and is done then`, events, () => {
      using area = kind === 'private' ? privateArea(4) : undefined;
      using file = kind === 'shared' ? sharedArea(4) : undefined;
      const memory: Area = area ?? file!.window;
      using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE);
      expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
      expect(watcher.uffd.copy(memory.page(1), source(5, 2).address, 2 * PAGE)).toBe(2 * PAGE);
      const advising = actors[0]!.syscall(SYS_MADVISE, memory.page(1), 2 * PAGE, advice);
      expect(watcher.hasMessage()).toBe(true);
      expect(actors[0]!.becomes('D')).toBe(true);
      expect(advising.isBlocked()).toBe(true);
      // The pages are there until the event is read.
      expect(memory.get(1)).toBe(5);
      expect(watcher.take()).toEqual([{ event: 'remove', start: memory.page(1), end: memory.page(3) }]);
      expect(advising.result()).toBe(0);
      // What is gone: the mapped page, and with MADV_REMOVE the page of the file.
      expect(mappingAt(memory.address)!.bytesOf('Rss')).toBe(0);
      if (file) expect(file.alias.get(1)).toBe(advice === MADV_REMOVE ? 0 : 5);
    });
  }

  conformance(
    'while one waits, COPY, ZEROPAGE, CONTINUE, WRITEPROTECT are EAGAIN, everywhere',
    events,
    () => {
      using file = sharedArea(4);
      using other = privateArea(1);
      const { window } = file;
      file.alias.set(3, 1);
      using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE);
      expect(watcher.register(window.address, window.bytes, BOTH | 2)).toBeGreaterThan(0);
      expect(watcher.register(other.address, PAGE, MISSING)).toBeGreaterThan(0);
      const advising = actors[0]!.syscall(SYS_MADVISE, window.address, PAGE, MADV_DONTNEED);
      expect(watcher.hasMessage()).toBe(true);
      const refused = { result: -EAGAIN, done: -EAGAIN };
      const from = source(5);
      const copy = (): unknown => watcher.request(UFFDIO_COPY, other.address, from.address, PAGE, 0);
      const zero = (): unknown => watcher.request(UFFDIO_ZEROPAGE, window.page(2), PAGE, 0);
      const proceed = (): unknown => watcher.request(UFFDIO_CONTINUE, window.page(3), PAGE, 0);
      expect([copy(), zero(), proceed()]).toEqual([refused, refused, refused]);
      expect(watcher.request(UFFDIO_WRITEPROTECT, window.address, PAGE).result).toBe(-EAGAIN);
      expect(advising.isBlocked()).toBe(true);
      watcher.take();
      expect(advising.result()).toBe(0);
      const done = { result: 0, done: PAGE };
      expect([copy(), zero(), proceed()]).toEqual([done, done, done]);
      expect([other.get(0), window.get(2), window.get(3)]).toEqual([5, 0, 1]);
    },
  );

  conformance(
    'while one waits, MOVE and POISON are EAGAIN too',
    {
      requires: [events.requires, feature(UFFD_FEATURE_MOVE | UFFD_FEATURE_POISON, 'MOVE and POISON')],
    },
    () => {
      using memory = privateArea(3);
      using from = privateArea(1);
      from.set(0, 6);
      using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE);
      expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
      const advising = actors[0]!.syscall(SYS_MADVISE, memory.address, PAGE, MADV_DONTNEED);
      expect(watcher.hasMessage()).toBe(true);
      const move = (): unknown => watcher.request(UFFDIO_MOVE, memory.page(1), from.address, PAGE, 0);
      const poison = (): unknown => watcher.request(UFFDIO_POISON, memory.page(2), PAGE, 0);
      const refused = { result: -EAGAIN, done: -EAGAIN };
      expect([move(), poison()]).toEqual([refused, refused]);
      watcher.take();
      expect(advising.result()).toBe(0);
      const done = { result: 0, done: PAGE };
      expect([move(), poison()]).toEqual([done, done]);
      expect(memory.get(1)).toBe(6);
    },
  );

  conformance('closing the descriptor lets the waiting call go', events, () => {
    using memory = privateArea(1);
    using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE);
    expect(watcher.register(memory.address, PAGE, MISSING)).toBeGreaterThan(0);
    const advising = actors[0]!.syscall(SYS_MADVISE, memory.address, PAGE, MADV_DONTNEED);
    expect(watcher.hasMessage()).toBe(true);
    watcher.close();
    expect(advising.result()).toBe(0);
  });

  conformance('a hole that is punched through the file is no event, and waits for nobody', events, () => {
    using file = sharedArea(2);
    using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE);
    expect(watcher.register(file.window.address, file.window.bytes, MISSING)).toBeGreaterThan(0);
    expect(watcher.uffd.copy(file.window.address, source(5).address, PAGE)).toBe(PAGE);
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    expect(actors[0]!.syscall(SYS_FALLOCATE, file.file.fd, mode, 0, PAGE).result()).toBe(0);
    expect(watcher.read()).toBe(-EAGAIN);
    const read = actors[0]!.load(file.window.address);
    expect(watcher.takeFault().flags).toBe(0);
    expect(watcher.uffd.zeropage(file.window.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(0);
  });
});

describe('moving registered memory', () => {
  const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED;

  for (const keeps of [false, true]) {
    const flags = MOVE | (keeps ? MREMAP_DONTUNMAP : 0);
    const call = keeps ? 'MREMAP_DONTUNMAP' : 'a plain move';
    for (const kind of ['private', 'shared'] as const) {
      conformance(
        `${call} of ${kind} memory without EVENT_REMAP: nothing is watched at the new place`,
        events,
        () => {
          using area = kind === 'private' ? privateArea(2) : undefined;
          using file = kind === 'shared' ? sharedArea(2) : undefined;
          const old: Area = area ?? file!.window;
          using place = reserved(2);
          using watcher = Watcher.open();
          const mode = kind === 'private' ? MISSING : BOTH;
          expect(watcher.register(old.address, old.bytes, mode)).toBeGreaterThan(0);
          expect(watcher.uffd.copy(old.address, source(5).address, PAGE)).toBe(PAGE);
          const moved = actors[0]!.syscall(
            SYS_MREMAP,
            old.address,
            old.bytes,
            old.bytes,
            flags,
            place.address,
          );
          expect(moved.result()).toBe(place.address);
          if (!keeps) mapAnonymous(old.address, old.bytes);
          expect([watched(old.address), watched(place.address)]).toEqual([keeps, false]);
          expect(place.get(0)).toBe(5);
          // Not even the page that was not there.
          expect(actors[0]!.load(place.page(1)).result()).toBe(0);
          expect(watcher.read()).toBe(-EAGAIN);
          if (!keeps) return;
          // The old place: empty and watched. What the fault is called depends on where the pages live.
          const read = actors[0]!.load(old.address);
          expect(watcher.takeFault().flags).toBe(kind === 'private' ? 0 : 4);
          if (kind === 'private') expect(watcher.uffd.zeropage(old.address, PAGE)).toBe(PAGE);
          else expect(watcher.uffd.continue(old.address, PAGE)).toBe(PAGE);
          expect(read.result()).toBe(kind === 'private' ? 0 : 5);
        },
      );

      conformance(
        `${call} of ${kind} memory with EVENT_REMAP: waits for the event, then both places as expected`,
        events,
        () => {
          using area = kind === 'private' ? privateArea(2) : undefined;
          using file = kind === 'shared' ? sharedArea(2) : undefined;
          const old: Area = area ?? file!.window;
          using place = reserved(2);
          using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMAP);
          expect(watcher.register(old.address, old.bytes, MISSING)).toBeGreaterThan(0);
          expect(watcher.uffd.copy(old.address, source(5).address, PAGE)).toBe(PAGE);
          const moving = actors[0]!.syscall(
            SYS_MREMAP,
            old.address,
            old.bytes,
            old.bytes,
            flags,
            place.address,
          );
          expect(watcher.hasMessage()).toBe(true);
          expect(moving.isBlocked()).toBe(true);
          expect(actors[0]!.becomes('D')).toBe(true);
          expect(watcher.take()).toEqual([
            { event: 'remap', from: old.address, to: place.address, bytes: old.bytes },
          ]);
          expect(moving.result()).toBe(place.address);
          if (!keeps) mapAnonymous(old.address, old.bytes);
          expect([watched(old.address), watched(place.address)]).toEqual([keeps, true]);
          expect(place.get(0)).toBe(5);
          const read = actors[0]!.load(place.page(1));
          expect(watcher.takeFault().address).toBe(place.page(1));
          expect(watcher.uffd.copy(place.page(1), source(6).address, PAGE)).toBe(PAGE);
          expect(read.result()).toBe(6);
        },
      );
    }
  }

  conformance(
    'while a move waits for its event, COPY is EAGAIN at the old place and at the new one',
    events,
    () => {
      using old = privateArea(2);
      using place = reserved(2);
      using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMAP);
      expect(watcher.register(old.address, old.bytes, MISSING)).toBeGreaterThan(0);
      const moving = actors[0]!.syscall(SYS_MREMAP, old.address, old.bytes, old.bytes, MOVE, place.address);
      expect(watcher.hasMessage()).toBe(true);
      expect(watcher.uffd.copy(old.address, source(5).address, PAGE)).toBe(-EAGAIN);
      expect(watcher.uffd.copy(place.address, source(5).address, PAGE)).toBe(-EAGAIN);
      watcher.take();
      expect(moving.result()).toBe(place.address);
      mapAnonymous(old.address, old.bytes);
      expect(watcher.uffd.copy(old.address, source(5).address, PAGE)).toBe(-ENOENT);
      expect(watcher.uffd.copy(place.address, source(5).address, PAGE)).toBe(PAGE);
    },
  );
});

describe('EVENT_UNMAP', () => {
  conformance('munmap waits until the event is read; the event says the exact range', events, () => {
    using memory = privateArea(4);
    using watcher = Watcher.open(UFFD_FEATURE_EVENT_UNMAP);
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    const unmapping = actors[0]!.syscall(SYS_MUNMAP, memory.page(1), 2 * PAGE);
    expect(watcher.hasMessage()).toBe(true);
    expect(unmapping.isBlocked()).toBe(true);
    expect(watcher.uffd.copy(memory.address, source(5).address, PAGE)).toBe(-EAGAIN);
    // Unlike the others, this event comes after the fact.
    expect(mappingAt(memory.page(1))).toBeUndefined();
    expect(watcher.take()).toEqual([{ event: 'unmap', start: memory.page(1), end: memory.page(3) }]);
    expect(unmapping.result()).toBe(0);
    expect(watcher.uffd.copy(memory.address, source(5).address, PAGE)).toBe(PAGE);
    expect([watched(memory.address), watched(memory.page(3))]).toEqual([true, true]);
  });
});

describe('fork', () => {
  const childFlags = (pid: number, address: number): ReadonlySet<string> =>
    parseMappings(readFileSync(`/proc/${pid}/smaps`, 'utf8')).find(
      (mapping) => mapping.start <= address && address < mapping.end,
    )!.flags;

  conformance('without EVENT_FORK the child is not watched: what is missing reads as zeroes', native, () => {
    using memory = privateArea(2);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    expect(watcher.uffd.copy(memory.page(1), source(9).address, PAGE)).toBe(PAGE);
    using code = new NativeCode();
    let slots: number[] = [];
    using child = NativeChild.fork((c) => {
      slots = [c.load(memory.page(0)), c.load(memory.page(1))];
      c.store(memory.page(0), 8);
      slots.push(c.load(memory.page(0)));
      c.exit();
    }, code);
    expect(child.exitStatus()).toBe(0);
    expect(slots.map((slot) => code.read(slot))).toEqual([0, 9, 8]);
    expect(watcher.read()).toBe(-EAGAIN);
    expect(watched(memory.address)).toBe(true);
  });

  conformance('the descriptor that a child inherits acts on the memory of the parent', native, () => {
    using memory = privateArea(1);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, PAGE, MISSING)).toBeGreaterThan(0);
    const read = actors[0]!.load(memory.address);
    watcher.takeFault();
    using code = new NativeCode();
    const args = [memory.address, source(71).address, PAGE, 0, 0];
    let slots: number[] = [];
    using child = NativeChild.fork((c) => {
      const words = args.map((arg) => c.slot(arg));
      slots = [c.syscall(SYS_IOCTL, watcher.fd, UFFDIO_COPY, c.at(words[0]!)), c.load(memory.address)];
      c.exit();
    }, code);
    expect(child.exitStatus()).toBe(0);
    expect(slots.map((slot) => code.read(slot))).toEqual([0, 0]);
    expect(read.result()).toBe(71);
  });

  conformance('with EVENT_FORK it waits for the event, whose descriptor serves the child', forks, () => {
    using memory = privateArea(2);
    using watcher = Watcher.open(UFFD_FEATURE_EVENT_FORK);
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    using code = new NativeCode();
    let slot = 0;
    const { forking, child: forked } = NativeChild.forkBy(
      actors[0]!,
      (c) => {
        slot = c.load(memory.address);
        c.exit(5);
      },
      code,
    );
    expect(watcher.hasMessage()).toBe(true);
    expect(forking.isBlocked()).toBe(true);
    const [message] = watcher.take();
    if (message?.event !== 'fork') throw new Error(`not a fork: ${message?.event}`);
    using ofChild = Watcher.of(message.fd);
    using child = forked();
    expect(ofChild.takeFault().address).toBe(memory.address);
    expect(childFlags(child.pid, memory.address).has(VM_FLAG_UFFD_MISSING)).toBe(true);
    expect(child.isRunning).toBe(true);
    expect(ofChild.uffd.copy(memory.address, source(41).address, PAGE)).toBe(PAGE);
    expect(child.exitStatus()).toBe(5);
    expect(code.read(slot)).toBe(41);
    // The parent's page is as missing as before.
    expect(watcher.read()).toBe(-EAGAIN);
    expect(watcher.uffd.copy(memory.address, source(42).address, PAGE)).toBe(PAGE);
    expect(memory.get(0)).toBe(42);
    // The child's memory is gone with it.
    expect(ofChild.uffd.copy(memory.page(1), source(43).address, PAGE)).toBe(-ESRCH);
  });

  conformance('exec of the child ends the memory that its descriptor serves', forks, () => {
    using memory = privateArea(2);
    using watcher = Watcher.open(UFFD_FEATURE_EVENT_FORK);
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    using code = new NativeCode();
    const { child: forked } = NativeChild.forkBy(
      actors[0]!,
      (c) => {
        c.load(memory.address);
        execSleep(c);
      },
      code,
    );
    const [message] = watcher.take();
    if (message?.event !== 'fork') throw new Error(`not a fork: ${message?.event}`);
    using ofChild = Watcher.of(message.fd);
    using child = forked();
    ofChild.takeFault();
    expect(ofChild.uffd.copy(memory.address, source(1).address, PAGE)).toBe(PAGE);
    expect(waitFor(() => ofChild.uffd.copy(memory.page(1), source(1).address, PAGE) === -ESRCH)).toBe(true);
    expect(child.isRunning).toBe(true);
  });

  for (const closes of [true, false]) {
    const name = closes
      ? 'a descriptor with O_CLOEXEC does not reach the program that a child executes'
      : 'a descriptor without O_CLOEXEC does, and keeps the parent watched after its close';
    conformance(name, native, () => {
      using memory = privateArea(1);
      using watcher = Watcher.open(0n, O_NONBLOCK | (closes ? O_CLOEXEC : 0));
      expect(watcher.register(memory.address, PAGE, MISSING)).toBeGreaterThan(0);
      using code = new NativeCode();
      using child = NativeChild.fork(execSleep, code);
      expect(waitFor(() => isAsleep(child.pid))).toBe(true);
      const links = readdirSync(`/proc/${child.pid}/fd`).map((fd) =>
        readlinkSync(`/proc/${child.pid}/fd/${fd}`),
      );
      expect(links.includes('anon_inode:[userfaultfd]')).toBe(!closes);
      watcher.close();
      expect(watched(memory.address)).toBe(!closes);
      const read = actors[0]!.load(memory.address);
      if (closes) expect(read.result()).toBe(0);
      else expect(read.isBlocked()).toBe(true);
      child.kill();
      expect(read.result()).toBe(0);
    });
  }
});

/** Goes on as a program that does nothing for a while. */
function execSleep(code: NativeCode): void {
  const program = code.text('/bin/sleep');
  const argv = [program, code.text('60'), 0].map((address) => code.slot(address));
  code.syscall(SYS_EXECVE, program, code.at(argv[0]!), code.at(argv[2]!));
  code.exit(1);
}

// nanosleep, clock_nanosleep
const SLEEPING = /^(35|230) /;

/**
 * Whether a process that runs execSleep is at its sleep. It has that name before the dynamic linker starts, which opens and closes
 * files of its own: only from here on its descriptors stay as they are.
 */
function isAsleep(pid: number): boolean {
  return (
    readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n' &&
    SLEEPING.test(readFileSync(`/proc/${pid}/syscall`, 'utf8'))
  );
}

conformance('a reader that waits for a message gets one event for each call, in their order', events, () => {
  using memory = privateArea(3);
  using watcher = Watcher.open(UFFD_FEATURE_EVENT_REMOVE, O_CLOEXEC);
  expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
  const first = actors[0]!.syscall(SYS_MADVISE, memory.page(0), PAGE, MADV_DONTNEED);
  expect(actors[0]!.becomes('D')).toBe(true);
  const second = actors[1]!.syscall(SYS_MADVISE, memory.page(2), PAGE, MADV_DONTNEED);
  expect(actors[1]!.becomes('D')).toBe(true);
  const messages = watcher.read(1);
  expect(messages).toEqual([{ event: 'remove', start: memory.page(0), end: memory.page(1) }]);
  expect(first.result()).toBe(0);
  expect(second.isBlocked()).toBe(true);
  expect(watcher.read(1)).toEqual([{ event: 'remove', start: memory.page(2), end: memory.page(3) }]);
  expect(second.result()).toBe(0);
});
