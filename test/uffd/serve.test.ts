import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  createLibcKernel,
  EAGAIN,
  EINTR,
  EIO,
  FaultReader,
  injectFaults,
  type Kernel,
  POLLIN,
  type ServeFaultsOptions,
  StopSignal,
  serveFaults,
  Userfaultfd,
} from '#src/uffd/index.js';
import { supportScript } from '../support/child.ts';
import { openDescriptors } from '../support/resources.ts';

const kernel = createLibcKernel();
let uffd: Userfaultfd;
let stop: StopSignal;
beforeEach(() => {
  uffd = Userfaultfd.open(kernel);
  stop = StopSignal.create(kernel);
});
afterEach(() => {
  uffd.close();
  stop.close();
});

/** Options under which the loop ends soon whatever happens. */
const bounded = (k: Kernel, more: Partial<ServeFaultsOptions> = {}): ServeFaultsOptions => ({
  kernel: k,
  reader: new FaultReader(k, uffd.fd),
  uffdFd: uffd.fd,
  stopFd: stop.fd,
  idleTimeoutMs: 100,
  onFaults: () => {},
  onIdle: () => false,
  ...more,
});

describe('the end of the loop', () => {
  test('a server blocked without a timeout in another thread stops within bounded time', async () => {
    const worker = new Worker(supportScript('blocked-server.mjs'), {
      workerData: { uffdFd: uffd.fd, stopFd: stop.fd },
    });
    await once(worker, 'message');
    await new Promise((resolve) => setTimeout(resolve, 50));
    // Both at once: a thread's last message and its exit are told in one turn.
    const answer = once(worker, 'message');
    const exit = once(worker, 'exit');
    const started = performance.now();
    stop.signal();
    const [end] = await answer;
    expect(end).toBe('stop');
    expect(performance.now() - started).toBeLessThan(10_000);
    await exit;
  });

  test('a stop that was signalled before is obeyed at once, and by every server', () => {
    stop.signal();
    stop.signal();
    for (let i = 0; i < 3; i++) expect(serveFaults(bounded(kernel))).toBe('stop');
    stop.reset();
    expect(serveFaults(bounded(kernel))).toBe('idle');
    stop.reset();
  });

  test('onIdle goes on until it says false', () => {
    let idle = 0;
    const onIdle = (): boolean | undefined => (++idle === 3 ? false : idle === 2 ? true : undefined);
    expect(serveFaults(bounded(kernel, { idleTimeoutMs: 1, onIdle }))).toBe('idle');
    expect(idle).toBe(3);
  });
});

describe('poll', () => {
  test('EINTR is tried again', () => {
    stop.signal();
    const interrupted = injectFaults(kernel, [
      { call: 'poll', nth: 1, errno: EINTR },
      { call: 'poll', nth: 2, errno: EINTR },
    ]);
    expect(serveFaults(bounded(interrupted))).toBe('stop');
    expect(interrupted.calls.get('poll')).toBe(3);
  });

  test('interrupted again and again it is idle all the same, unless it is to wait for ever', () => {
    const steady = (end: number) =>
      injectFaults(kernel, [
        // So that a loop that never ends fails.
        { call: 'poll', nth: end, errno: EIO },
        { call: 'poll', nth: 1, every: true, errno: EINTR },
      ]);
    for (const idleTimeoutMs of [20, 0])
      expect(serveFaults(bounded(steady(1000), { idleTimeoutMs }))).toBe('idle');
    let idle = 0;
    const onIdle = (): boolean => ++idle < 3;
    expect(serveFaults(bounded(steady(1000), { idleTimeoutMs: 20, onIdle }))).toBe('idle');
    expect(idle).toBe(3);
    expect(() => serveFaults(bounded(steady(50), { idleTimeoutMs: -1 }))).toThrow(
      expect.objectContaining({ errnoName: 'EIO' }),
    );
  });

  test('another errno is an error', () => {
    const failing = injectFaults(kernel, [{ call: 'poll', nth: 1, errno: EIO }]);
    expect(() => serveFaults(bounded(failing))).toThrow(
      expect.objectContaining({ code: 'ERR_SYSCALL', syscall: 'poll', errnoName: 'EIO' }),
    );
  });

  test('a descriptor that is closed under the server ends it with POLLNVAL', () => {
    const options = bounded(kernel);
    uffd.close();
    expect(() => serveFaults(options)).toThrow(
      expect.objectContaining({
        code: 'ERR_STATE',
        message: expect.stringContaining('POLLNVAL on the userfaultfd'),
      }),
    );
  });

  test('so does a closed stop signal', () => {
    const options = bounded(kernel);
    stop.close();
    expect(() => serveFaults(options)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('stop signal') }),
    );
  });

  test('a userfaultfd without O_NONBLOCK ends it with POLLERR', () => {
    const blocking = kernel.userfaultfd(0o2000001);
    kernel.ioctl(blocking, 0xc018aa3f, new BigUint64Array([0xaan, 0n, 0n]));
    expect(() => serveFaults(bounded(kernel, { uffdFd: blocking }))).toThrow(/POLLERR on the userfaultfd/);
    kernel.close(blocking);
  });

  test('descriptors of closed objects are refused: poll would ignore them for ever', () => {
    expect(() => serveFaults(bounded(kernel, { uffdFd: -1 }))).toThrow(
      expect.objectContaining({ code: 'ERR_STATE' }),
    );
    expect(() => serveFaults(bounded(kernel, { stopFd: -1 }))).toThrow(
      expect.objectContaining({ code: 'ERR_STATE' }),
    );
  });
});

/** A kernel whose userfaultfd is always readable and yields `messages`, one read each. */
function scripted(messages: (Uint32Array | number)[]): Kernel {
  let at = 0;
  return {
    ...kernel,
    poll: (fds) => {
      const more = at < messages.length;
      fds[1] = more ? 0x10001 : 1;
      fds[3] = more ? 1 : 0x10001;
      return 1;
    },
    read: (_fd, buffer) => {
      const next = messages[at++]!;
      if (typeof next === 'number') return next;
      (buffer as Uint32Array).set(next);
      return next.byteLength;
    },
  };
}
const message = (event: number, flags: number, address: bigint, tid: number): Uint32Array => {
  const words = new BigUint64Array([BigInt(event), BigInt(flags), address, BigInt(tid)]);
  return new Uint32Array(words.buffer);
};

describe('messages', () => {
  test('are decoded, to the last bit of the address', () => {
    const k = scripted([message(0x12, 5, 0x7fff_dead_b000n, 4242)]);
    const reader = new FaultReader(k, uffd.fd);
    const seen: number[][] = [];
    const onFaults = (count: number): void => {
      for (let i = 0; i < count; i++) seen.push([reader.address(i), reader.flags(i), reader.threadId(i)]);
    };
    expect(serveFaults(bounded(k, { reader, onFaults }))).toBe('stop');
    expect(seen).toEqual([[0x7fff_dead_b000, 5, 4242]]);
  });

  test('a wake-up with nothing to read raises and lowers the flag and serves nothing', () => {
    const log: string[] = [];
    const end = serveFaults(
      bounded(scripted([-EAGAIN, -EINTR, message(0x12, 0, 4096n, 0)]), {
        onWake: () => log.push('wake'),
        onFaults: () => log.push('faults'),
        onDrained: () => log.push('drained'),
      }),
    );
    expect(end).toBe('stop');
    // The interrupted read is simply done again.
    expect(log).toEqual(['wake', 'drained', 'wake', 'faults', 'drained']);
  });

  test('any other event is a broken invariant', () => {
    expect(() => serveFaults(bounded(scripted([message(0x14, 0, 4096n, 0)])))).toThrow(
      expect.objectContaining({ code: 'ERR_INVARIANT', message: expect.stringContaining('0x14') }),
    );
    expect(() => serveFaults(bounded(scripted([new Uint32Array(7)])))).toThrow(
      expect.objectContaining({ code: 'ERR_INVARIANT' }),
    );
  });

  test('a failing read ends the loop, and the flag stays up', () => {
    const log: string[] = [];
    const options = bounded(scripted([-EIO]), {
      onWake: () => log.push('up'),
      onDrained: () => log.push('down'),
    });
    expect(() => serveFaults(options)).toThrow(
      expect.objectContaining({ syscall: 'read', errnoName: 'EIO' }),
    );
    expect(log).toEqual(['up']);
  });

  test('what a callback throws comes out', () => {
    const onFaults = (): void => {
      throw new Error('mine');
    };
    expect(() => serveFaults(bounded(scripted([message(0x12, 0, 4096n, 0)]), { onFaults }))).toThrow('mine');
  });

  test('a reader has room for at least one', () => {
    expect(() => new FaultReader(kernel, uffd.fd, 0)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
    // Without O_NONBLOCK poll would report an error here, and the read would block for ever.
    expect(kernel.poll(new Int32Array([uffd.fd, POLLIN]), 1, 0)).toBe(0);
    expect(new FaultReader(kernel, uffd.fd).read()).toBe(0);
  });
});

test('a stop signal closes once, and an adopted one not at all', () => {
  const before = openDescriptors();
  const signal = StopSignal.create(kernel);
  const adopted = StopSignal.adopt(kernel, signal.fd);
  adopted.close();
  expect(openDescriptors()).toBe(before + 1);
  signal.close();
  signal.close();
  expect(openDescriptors()).toBe(before);
  expect(() => signal.signal()).toThrow(expect.objectContaining({ errnoName: 'EBADF' }));
});
