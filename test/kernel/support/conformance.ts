// A case of the kernel conformance suite: one behaviour of the running kernel, named as a sentence.
//
// Every report carries the kernel's release. A case that this kernel, machine or user cannot run is reported as skipped with
// the reason, never as passed; a case that allows more than one behaviour says which one it saw.
import { release } from 'node:os';
import { test } from 'vitest';

/** The release of the running kernel, as uname(2) says it: `6.18.44-…`. */
export const KERNEL_RELEASE: string = release();

/** Something that a case needs. Found out by trying, not from a version number: distributions carry patches back. */
export interface Requirement {
  /** Why the case cannot run here, or undefined when it can. */
  missing(): string | undefined;
}

/** What the body of a case gets. */
export interface ConformanceCase {
  /** Ends the case as skipped, with the reason. For what only turns out on the way. */
  skip(reason: string): never;
  /** Says which of several allowed behaviours was seen: an annotation of the report, and a line of output. */
  saw(behaviour: string): Promise<void>;
}

export interface ConformanceOptions {
  /** All are needed; the first that is missing is the reason of the skip. */
  readonly requires?: Requirement | readonly Requirement[];
  /** Default: the suite's. */
  readonly timeoutMs?: number;
}

type Body = (it: ConformanceCase) => void | Promise<void>;

/** Declares a case. `name` is the behaviour. */
export function conformance(name: string, body: Body): void;
export function conformance(name: string, options: ConformanceOptions, body: Body): void;
export function conformance(name: string, second: ConformanceOptions | Body, third?: Body): void {
  const options = typeof second === 'function' ? {} : second;
  const body = typeof second === 'function' ? second : third!;
  const limits = options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs };
  test(`${name} [Linux ${KERNEL_RELEASE}]`, limits, async (context) => {
    const say = (what: string): void =>
      void process.stdout.write(`Linux ${KERNEL_RELEASE}: ${name}: ${what}\n`);
    // Not every reporter shows the reason.
    const skip = (reason: string): never => {
      say(`skipped: ${reason}`);
      return context.skip(`Linux ${KERNEL_RELEASE}: ${reason}`);
    };
    for (const requirement of [options.requires ?? []].flat()) {
      const reason = requirement.missing();
      if (reason !== undefined) skip(reason);
    }
    await body({
      skip,
      saw: async (behaviour) => {
        say(`saw ${behaviour}`);
        await context.annotate(`saw ${behaviour}`, 'kernel');
      },
    });
  });
}
