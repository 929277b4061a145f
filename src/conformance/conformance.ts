// The conformance kit: runs a runtime's own code on heaps that show mistakes, and names the one that was made.
//
// What tells mistakes apart is the order. Each check takes for granted what those before it have found to be right, and gives the runtime one
// more freedom to go wrong:
//
//   size       no collection     bytes claimed = bytes in the collector's table = bytes written
//   hooks      no collection     the description agrees with itself
//   barrier    no collection     every store of a reference marks its card
//   map        one collection    every word holds one reference, and the collector rewrites those it takes for references
//   roots      two collections   at rest: what only a root refers to stays alive, and the root follows it
//   stale      many, in the runtime's code   operations agree with their models
//   safepoint  a concurrent one waits for the runtime
//   history    all of it at random; a failure is run again on heaps with less and less freedom, until it passes

import { TospaceError } from '../errors.ts';
import { type Duration, duration } from '../gc/options/values.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import { type CheckContext, count, type Outcome } from './checks/check.ts';
import { CHECK_BY_NAME } from './checks/index.ts';
import { CONCURRENT, CONFIGURATIONS, type ConfigurationName, LADDER } from './configurations.ts';
import type { Embedder, EmbedderHeapOptions } from './embedder.ts';
import { CURES } from './mistakes.ts';
import { type CheckName, type CheckReport, CHECKS, type ConformanceReport } from './report.ts';
import { runJob } from './runner.ts';

export interface ConformanceOptions {
  /** Of all that is random: an integer from 0 to 2³¹ - 1. Default: another one every time; the report says which. */
  readonly seed?: number;
  /** Histories on each concurrent heap, and a factor for the other checks. Default 1; for a night, 1000. */
  readonly effort?: number;
  /** Which checks to run, at least one. Default: all. */
  readonly checks?: readonly CheckName[];
  /** Called after each check. What it throws, `conformance` rejects with. */
  readonly onCheck?: (report: CheckReport) => void;
  /** Time after which a process that runs a check is taken to hang. Default 120 s. */
  readonly timeoutMs?: Duration;
}

/** The checks that a check takes for granted. */
const NEEDS: Readonly<Record<CheckName, readonly CheckName[]>> = {
  size: [],
  hooks: ['size'],
  barrier: ['size', 'hooks'],
  map: ['size', 'hooks'],
  roots: ['size', 'hooks', 'map'],
  stale: ['size', 'hooks', 'map', 'roots'],
  safepoint: ['size', 'hooks', 'map', 'roots'],
  history: ['size', 'hooks', 'barrier', 'map', 'roots', 'stale', 'safepoint'],
};

const TIMEOUT = duration(1, 2 ** 31 - 1);
const KEYS: KeysOf<ConformanceOptions> = {
  seed: true,
  effort: true,
  checks: true,
  onCheck: true,
  timeoutMs: true,
};

const HEAP_KEYS: KeysOf<EmbedderHeapOptions> = {
  persistentSlots: true,
  largeObject: true,
  typeMaps: true,
  placement: true,
  userfaultfd: true,
  pausePriority: true,
  log: true,
};

/** Processes at a time. */
const WIDTH = 2;

/**
 * Runs the checks on a runtime. Takes some seconds; every check has a process of its own, so that no mistake harms this one.
 * @throws TospaceError ERR_OPTION when an option is wrong, `embedder.heap` has one that is the kit's, or `embedder.module` is no URL or does
 * not load; ERR_WORKER when a check could not be run, because a hook throws what is not a verifying heap's finding, for one: `cause` is what
 * it threw. What `onCheck` throws.
 */
export async function conformance<Runtime, Types>(
  embedder: Embedder<Runtime, Types>,
  options: ConformanceOptions = {},
): Promise<ConformanceReport> {
  assertKeys('conformance', options, KEYS);
  const { effort = 1, checks = CHECKS, onCheck } = options;
  // What is no duration is NaN, and refused below.
  const timeoutMs = (TIMEOUT.check(options.timeoutMs ?? 120_000) ?? Number.NaN) as number;
  const seed = options.seed ?? Math.floor(Math.random() * 1e9);
  const module = embedder?.module;
  assertUsable({ module, seed, effort, checks, timeoutMs, onCheck });
  assertKeys('embedder.heap', embedder.heap ?? {}, HEAP_KEYS);
  const running = new Map<CheckName, Promise<CheckReport>>();
  const free = new Slots(WIDTH);
  for (const check of CHECKS.filter((name) => checks.includes(name))) {
    const needs = NEEDS[check].flatMap((name) => running.get(name) ?? []);
    const report = runCheck(check, needs, { module, seed, effort, timeoutMs, free }).then(async (done) => {
      await onCheck?.(done);
      return done;
    });
    // Rejections are seen below, where they are awaited.
    report.catch(() => {});
    running.set(check, report);
  }
  const reports = await Promise.all(running.values()).catch(async (error: unknown) => {
    free.end();
    await Promise.allSettled(running.values());
    throw error;
  });
  const mistakes = [...new Set(reports.flatMap(({ findings }) => findings.map(({ mistake }) => mistake)))];
  return { embedder: embedder.name, passed: mistakes.length === 0, seed, checks: reports, mistakes };
}

/** Without this a wrong option would make checks do nothing, and pass. */
function assertUsable(
  given: Omit<Settings, 'free'> & { readonly checks: readonly CheckName[]; readonly onCheck: unknown },
): void {
  const { module, seed, effort, checks, timeoutMs, onCheck } = given;
  const isInteger = (value: number, low: number): boolean =>
    Number.isInteger(value) && value >= low && value < 2 ** 31;
  const rules: [right: boolean, what: string, rule: string][] = [
    [URL.canParse(module), 'embedder.module', 'the import.meta.url of the module that exports the embedder'],
    [isInteger(seed, 0), 'seed', 'an integer from 0 to 2147483647'],
    [isInteger(effort, 1), 'effort', 'an integer from 1'],
    [!Number.isNaN(timeoutMs), 'timeoutMs', TIMEOUT.rule],
    [onCheck === undefined || typeof onCheck === 'function', 'onCheck', 'a function'],
    [
      Array.isArray(checks) && checks.length > 0 && checks.every((name) => CHECKS.includes(name)),
      'checks',
      `a list of at least one of ${CHECKS.join(', ')}`,
    ],
  ];
  for (const [right, what, rule] of rules) {
    if (right) continue;
    throw new TospaceError('ERR_OPTION', `${what} is not allowed as it is given`, {
      hint: `${what} must be ${rule}.`,
    });
  }
}

interface Settings extends Omit<CheckContext, 'at'> {
  readonly module: string;
  readonly free: Slots;
}

async function runCheck(
  check: CheckName,
  needs: readonly Promise<CheckReport>[],
  settings: Settings,
): Promise<CheckReport> {
  const failed = (await Promise.all(needs)).filter(({ status }) => status !== 'passed');
  if (failed.length > 0) {
    const covered = `means nothing before ${failed.map((report) => report.check).join(', ')} ${failed.length === 1 ? 'passes' : 'pass'}`;
    return { check, status: 'skipped', findings: [], covered, durationMs: 0 };
  }
  const start = performance.now();
  const { seed, outcome } =
    check === 'history'
      ? await runHistories(settings)
      : { seed: settings.seed, outcome: await runOne(check, settings) };
  const findings = outcome.findings.map((found) => ({ ...found, cure: CURES[found.mistake], seed }));
  return {
    check,
    status: findings.length === 0 ? 'passed' : 'failed',
    findings,
    covered: outcome.covered,
    durationMs: Math.round(performance.now() - start),
  };
}

function runOne(
  check: Exclude<CheckName, 'history'>,
  { module, seed, effort, timeoutMs, free }: Settings,
): Promise<Outcome> {
  return free.use((end) =>
    runJob({ module, check, seed, effort, timeoutMs }, CHECK_BY_NAME[check].blames, end),
  );
}

/** Histories on all heaps. The first that fails is explained, and ends the check. */
async function runHistories(settings: Settings): Promise<{ seed: number; outcome: Outcome }> {
  const { seed, effort, module, timeoutMs, free } = settings;
  const run = (configuration: ConfigurationName, at: number, steps: number): Promise<Outcome> =>
    free.use((end) =>
      runJob(
        { module, check: 'history', seed: at, effort, timeoutMs, configuration, steps },
        CONFIGURATIONS[configuration].blames,
        end,
      ),
    );
  const names = (list: object): ConfigurationName[] => Object.keys(list) as ConfigurationName[];
  const covered: string[] = [];
  for (let i = 0; i < effort; i++) {
    for (const group of [names(LADDER), names(CONCURRENT)]) {
      const outcomes = await Promise.all(
        group.map((name) => run(name, seed + i, CONFIGURATIONS[name].steps)),
      );
      const failed = outcomes.findIndex(({ findings }) => findings.length > 0);
      if (failed < 0) {
        covered.push(...outcomes.map((outcome) => outcome.covered));
        continue;
      }
      const name = group[failed]!;
      // The same history, as long as it was there, with less freedom to go wrong.
      for (const step of name in CONCURRENT ? names(LADDER) : []) {
        const outcome = await run(step, seed + i, CONFIGURATIONS[name].steps);
        if (outcome.findings.length > 0) return { seed: seed + i, outcome };
      }
      return { seed: seed + i, outcome: outcomes[failed]! };
    }
  }
  const heaps = names(CONFIGURATIONS).length;
  const total = (what: RegExp): number =>
    covered.reduce((sum, text) => sum + Number(what.exec(text)?.[1] ?? 0), 0);
  const text = `${count(total(/^(\d+) steps/), 'random step')} on ${heaps} kinds of heap, ${count(total(/(\d+) collections?$/), 'collection')}`;
  return { seed, outcome: { findings: [], covered: text } };
}

/** So many processes at a time; all of them can be ended. */
class Slots {
  readonly #end = new AbortController();
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(free: number) {
    this.#free = free;
  }

  /** Ends the processes that run; those that wait are not begun. */
  end(): void {
    this.#end.abort();
  }

  async use<T>(body: (end: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await body(this.#end.signal);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
