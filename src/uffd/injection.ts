// A kernel that fails or dawdles at chosen calls. Test machinery that ships: an embedder can use it to test its own handling.
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import { EINTR } from './errno.ts';
import type { Kernel } from './kernel.ts';

/** One rule of an {@link InjectionPlan}. Plain data: it can be posted to a worker. */
export interface InjectionRule {
  /** The method of {@link Kernel} that the rule watches; `'*'`: every method that can fail in reality. */
  readonly call: keyof Kernel | '*';
  /** Strikes at the nth matching call of this thread, counted from 1. */
  readonly nth: number;
  /** Strikes at every nth call: the nth, the 2nth … With `nth: 1` that is every call. */
  readonly every?: boolean;
  /** Only in the thread that gave this name to {@link injectFaults}. Default: in all. */
  readonly thread?: string;
  /** Only `ioctl` calls with this request number match. */
  readonly request?: number;
  /** The call is not made and returns -errno. Positive; for example ENOMEM. */
  readonly errno?: number;
  /** Blocks the thread for so many milliseconds first. */
  readonly delayMs?: number;
}

const RULE_KEYS: KeysOf<InjectionRule> = {
  call: true,
  nth: true,
  every: true,
  thread: true,
  request: true,
  errno: true,
  delayMs: true,
};

/** Rules are tried in order; each counts its own calls; delays add up, and the first errno wins. */
export type InjectionPlan = ReadonlyArray<InjectionRule>;

/** Calls that cannot fail: an errno from them would test something that cannot happen. A rule may still name them. */
const INFALLIBLE: ReadonlySet<keyof Kernel> = new Set([
  'gettid',
  'getpid',
  'getpagesize',
  'threadCpuNs',
  'exitGroup',
] as const);

type AnyCall = (...args: unknown[]) => number;

/**
 * Wraps a kernel so that the plan's rules strike. Counts are per wrapper, and thus per thread.
 * A `close` that is told to fail closes the descriptor all the same, as Linux does: an injected error must not leak one.
 * @param thread the name that rules with a `thread` are compared with
 * @throws TospaceError `ERR_OPTION` for an `nth` below 1, and for a rule with a key that there is not
 * @returns the wrapped kernel, and `calls`: how often each method was called so far
 */
export function injectFaults(
  kernel: Kernel,
  plan: InjectionPlan,
  thread?: string,
): Kernel & { readonly calls: ReadonlyMap<string, number> } {
  for (const rule of plan) {
    assertKeys('a rule of injection', rule, RULE_KEYS);
    const { call, nth } = rule;
    if (!Number.isInteger(nth) || nth < 1) {
      throw new TospaceError(
        'ERR_OPTION',
        `nth of the rule for "${call}" must be an integer of at least 1, not ${nth}`,
      );
    }
  }
  const rules = plan
    .filter((rule) => rule.thread === undefined || rule.thread === thread)
    .map((rule) => ({ rule, seen: 0 }));
  const calls = new Map<string, number>();
  const clock = new Int32Array(new SharedArrayBuffer(4));

  /** The errno to fail with, or 0. */
  function strike(name: keyof Kernel, request: unknown): number {
    let errno = 0;
    for (const state of rules) {
      const { rule } = state;
      if (rule.call === '*' ? INFALLIBLE.has(name) : rule.call !== name) continue;
      if (rule.request !== undefined && (name !== 'ioctl' || rule.request !== request)) continue;
      state.seen++;
      if (rule.every ? state.seen % rule.nth !== 0 : state.seen !== rule.nth) continue;
      // Nobody notifies this word: the wait is a sleep that works on any thread.
      if (rule.delayMs !== undefined) Atomics.wait(clock, 0, 0, rule.delayMs);
      if (errno === 0 && rule.errno !== undefined) errno = rule.errno;
    }
    return errno;
  }

  const wrapped: Record<string, unknown> = { calls };
  for (const name of Object.keys(kernel) as (keyof Kernel)[]) {
    if (typeof kernel[name] !== 'function') continue; // `calls` of a kernel that is wrapped already
    const call = kernel[name] as AnyCall;
    wrapped[name] = (...args: unknown[]): number => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
      const errno = strike(name, args[1]);
      if (errno === 0) return call(...args);
      if (name === 'close') call(...args);
      // A poll that is interrupted again and again must not become a busy loop that starves the test.
      if (name === 'poll' && errno === EINTR) Atomics.wait(clock, 0, 0, 1);
      return -errno;
    };
  }
  return wrapped as unknown as Kernel & { readonly calls: ReadonlyMap<string, number> };
}
