// What a thread that asked for a cycle is told of it, whatever other cycles do meanwhile.
import { beforeEach, expect, test } from 'vitest';
import { CycleRequests } from '#src/heap/cycle-requests.js';
import {
  CTL_COMPLETED_TICKET,
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_HEAP_STATE,
  CTL_TIMEOUT_TICKET,
  CTL_TIMEOUTS,
  CTL_WORDS,
  HEAP_CLOSED,
  HEAP_OPEN,
} from '#src/heap/layout.js';

const host = { tid: 1, currentCpu: () => 0, assertCollectorAlive() {} };
let control: Int32Array<SharedArrayBuffer>;
let requests: CycleRequests;

beforeEach(() => {
  control = new Int32Array(new SharedArrayBuffer(CTL_WORDS * 4));
  control[CTL_HEAP_STATE] = HEAP_OPEN;
  requests = new CycleRequests(control, host);
});

/** What the collector says at the end of a cycle that answers all tickets drawn so far. */
const end = (how: 'completed' | 'abandoned' | 'timed out'): void => {
  const ticket = control[CTL_CYCLES_ASKED]!;
  if (how === 'completed') control[CTL_COMPLETED_TICKET] = ticket;
  if (how === 'timed out') {
    control[CTL_TIMEOUT_TICKET] = ticket;
    control[CTL_TIMEOUTS]!++;
  }
  control[CTL_CYCLES_DONE] = ticket;
};

/** Asks for a cycle, with `meanwhile[i]` happening when the thread goes into its safe region for the i-th time. */
function collect(...meanwhile: ((wait: () => void) => void)[]): number {
  let times = 0;
  requests.collect({}, (wait) => meanwhile[times++]!(wait));
  return times;
}

test.each([
  ['completed', undefined],
  ['abandoned', 'ERR_SYSCALL'],
  ['timed out', 'ERR_TIMEOUT'],
] as const)('a cycle that is %s', (how, code) => {
  // What became of an earlier one is of no interest.
  for (const before of ['abandoned', 'timed out', 'completed'] as const) {
    requests.ask('collect');
    end(before);
    const ask = (): number =>
      collect((wait) => {
        end(how);
        wait();
      });
    if (code === undefined) expect(ask()).toBe(1);
    else expect(ask).toThrow(expect.objectContaining({ code }));
  }
});

test('a later cycle that fails before the thread wakes is not its own', () => {
  for (const later of ['abandoned', 'timed out'] as const) {
    const times = collect((wait) => {
      end('completed');
      requests.ask('collect');
      end(later);
      wait();
    });
    expect(times).toBe(1);
  }
});

test('a later cycle that completes before the thread wakes is as good as its own', () => {
  const times = collect((wait) => {
    end('abandoned');
    requests.ask('collect');
    end('completed');
    wait();
  });
  expect(times).toBe(1);
});

test('a close() that is refused ends no wait early', () => {
  const times = collect(
    (wait) => {
      control[CTL_HEAP_STATE] = HEAP_CLOSED;
      wait();
      control[CTL_HEAP_STATE] = HEAP_OPEN;
    },
    (wait) => {
      end('completed');
      wait();
    },
  );
  expect(times).toBe(2);
});

test('tickets may wrap', () => {
  control.fill(2 ** 31 - 1, CTL_CYCLES_ASKED, CTL_CYCLES_ASKED + 1);
  end('completed');
  expect(
    collect((wait) => {
      end('completed');
      wait();
    }),
  ).toBe(1);
  expect(control[CTL_CYCLES_DONE]).toBe(-(2 ** 31));
});
