// What the run showed: figures gathered from the shared counters, and their two forms, lines for people and one JSON document.
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { type ErrorCode, TospaceError, type UserfaultfdKind } from 'tospace/uffd';
import type { Histogram, Quantiles } from './histogram.ts';
import { Histogram as Histograms } from './histogram.ts';
import type { SwapOptions } from './options.ts';
import { RegionState, type RegionTable } from './region.ts';
import {
  Counter,
  MUTATORS,
  MutatorCounter,
  mutatorCounter,
  type SharedBuffers,
  STALLS,
  stallHistogram,
} from './shared.ts';
import type { SwapFile } from './swap-file.ts';

/** What a mutator says at its end. */
export interface MutatorResult {
  /** Running checksum over everything that it read, hexadecimal. */
  readonly seen: string;
  /** What it has to be. */
  readonly expected: string;
  readonly firstWrong: string | undefined;
}

/** Memory of the process, from /proc/self/status, in bytes. */
export interface ResidentMemory {
  readonly rssBytes: number;
  readonly anonBytes: number;
  readonly shmemBytes: number;
}

/** An eviction that failed; its regions are in memory. */
export interface EvictionError {
  readonly code: ErrorCode | string;
  readonly errnoName: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  /** Regions that were under way and came home. */
  readonly broughtBack: number;
}

/** How often what happened so far. */
export interface Counts {
  readonly evicted: number;
  readonly loaded: number;
  readonly rescued: number;
  readonly errors: number;
}

/** The state of things at one moment. Rates are over the time since the last one. */
export interface Progress {
  readonly seconds: number;
  readonly verifying: boolean;
  readonly residentBytes: number;
  readonly totalBytes: number;
  readonly rssBytes: number;
  readonly inFileRawBytes: number;
  readonly inFileStoredBytes: number;
  readonly evictedMiBPerSecond: number;
  readonly loadsPerSecond: number;
  readonly rescuesPerSecond: number;
  readonly loaded: Quantiles;
  readonly accessesPerSecond: number;
  readonly wrongWords: number;
}

export interface SwapReport {
  readonly environment: {
    readonly kernel: string;
    readonly node: string;
    readonly userfaultfd: UserfaultfdKind;
  };
  readonly options: SwapOptions;
  /** `right`: not one word was wrong and every checksum is what it has to be. */
  readonly verdict: 'right' | 'wrong';
  readonly reads: number;
  readonly writes: number;
  readonly wrongWords: number;
  readonly firstWrong: string | undefined;
  /** Of each mutator; see {@link MutatorResult}. */
  readonly checksums: readonly { readonly seen: string; readonly expected: string }[];
  readonly memory: {
    /** When everything was written and nothing evicted. */
    readonly full: ResidentMemory;
    /** When mutators had run for the time asked for. */
    readonly running: ResidentMemory;
    /** Of both arenas, in regions that are at home or in the shadow. */
    readonly residentBytes: number;
    readonly totalBytes: number;
  };
  readonly eviction: {
    readonly regions: number;
    readonly rawBytes: number;
    readonly storedBytes: number;
    readonly ratio: number;
    /** Over the time in which the evictor worked: moved, wrote, synced or released. */
    readonly rawMiBPerSecond: number;
    readonly storedMiBPerSecond: number;
    readonly movedRegions: number;
    readonly moveUs: number;
    readonly msPerRegion: { readonly write: number; readonly sync: number; readonly release: number };
  };
  readonly faults: {
    readonly loaded: number;
    readonly rescued: number;
    readonly stale: number;
    /** Of the server, from reading the message to waking the mutator. */
    readonly loadMeanUs: number;
    /** As mutators see it: the whole access. */
    readonly stallLoaded: Quantiles;
    readonly stallRescued: Quantiles;
  };
  readonly file: { readonly usedBytes: number; readonly endBytes: number; readonly diskBytes: number };
  readonly evictionErrors: {
    readonly count: number;
    readonly broughtBack: number;
    readonly first: EvictionError | undefined;
  };
  readonly seconds: { readonly fill: number; readonly run: number; readonly verify: number };
}

const MIB = 1024 * 1024;

/** Gathers a report while the example runs. */
export class Monitor {
  readonly #options: SwapOptions;
  readonly #kind: UserfaultfdKind;
  readonly #table: RegionTable;
  readonly #file: SwapFile;
  readonly #counters: Float64Array;
  readonly #loaded: readonly Histogram[];
  readonly #rescued: readonly Histogram[];
  #last: { ms: number; counters: Float64Array };
  #created: number = performance.now();
  #started = 0;
  #ran = 0;
  #verified = 0;
  #full: ResidentMemory | undefined;
  #running: ResidentMemory | undefined;
  #residentBytes = 0;
  #fileBytes = { usedBytes: 0, endBytes: 0, diskBytes: 0 };
  #results: readonly MutatorResult[] = [];
  #firstError: EvictionError | undefined;

  constructor(
    options: SwapOptions,
    kind: UserfaultfdKind,
    shared: SharedBuffers,
    table: RegionTable,
    file: SwapFile,
  ) {
    this.#options = options;
    this.#kind = kind;
    this.#table = table;
    this.#file = file;
    this.#counters = new Float64Array(shared.counters);
    const [loaded, rescued] = STALLS.map((_, stall) =>
      Array.from({ length: MUTATORS }, (_, mutator) => stallHistogram(shared.histograms, mutator, stall)),
    ) as [Histogram[], Histogram[]];
    this.#loaded = loaded;
    this.#rescued = rescued;
    this.#last = { ms: 0, counters: this.#counters.slice() };
  }

  filled(): void {
    this.#full = residentMemory();
  }

  started(): void {
    this.#started = performance.now();
    this.#last = { ms: this.#started, counters: this.#counters.slice() };
  }

  ran(): void {
    this.#ran = performance.now();
    this.#running = residentMemory();
    this.#residentBytes = this.#resident();
    this.#fileBytes = {
      usedBytes: this.#counters[Counter.FILE_USED_BYTES]!,
      endBytes: this.#counters[Counter.FILE_END_BYTES]!,
      diskBytes: this.#file.diskBytes(),
    };
  }

  verified(results: readonly MutatorResult[]): void {
    this.#verified = performance.now();
    this.#results = results;
  }

  failed(error: Error, broughtBack: number): EvictionError {
    const { code, errnoName, hint } = error as Partial<TospaceError>;
    const entry: EvictionError = {
      code: code ?? error.name,
      errnoName: error instanceof TospaceError ? errnoName : undefined,
      message: error.message,
      hint,
      broughtBack,
    };
    this.#firstError ??= entry;
    return entry;
  }

  counts(): Counts {
    const c = this.#counters;
    return {
      evicted: c[Counter.EVICTED_REGIONS]!,
      loaded: c[Counter.LOADED]!,
      rescued: c[Counter.RESCUED]!,
      errors: c[Counter.EVICTION_ERRORS]!,
    };
  }

  progress(): Progress {
    const ms = performance.now();
    const counters = this.#counters.slice();
    const last = this.#last;
    this.#last = { ms, counters };
    const rate = (counter: number): number =>
      ((counters[counter]! - last.counters[counter]!) / (ms - last.ms)) * 1000;
    const accesses = this.#sum(rate, MutatorCounter.READS);
    const inFile = this.#table.census()[RegionState.IN_FILE]! * this.#options.regionBytes;
    return {
      seconds: (ms - this.#started) / 1000,
      verifying: this.#ran !== 0,
      residentBytes: this.#resident(),
      totalBytes: this.#options.anonBytes + this.#options.shmemBytes,
      rssBytes: residentMemory().rssBytes,
      inFileRawBytes: inFile,
      inFileStoredBytes: counters[Counter.FILE_USED_BYTES]!,
      evictedMiBPerSecond: (rate(Counter.EVICTED_REGIONS) * this.#options.regionBytes) / MIB,
      loadsPerSecond: rate(Counter.LOADED),
      rescuesPerSecond: rate(Counter.RESCUED),
      loaded: Histograms.quantiles(this.#loaded),
      accessesPerSecond: accesses,
      wrongWords: this.#total(MutatorCounter.WRONG_WORDS),
    };
  }

  report(): SwapReport {
    const c = this.#counters;
    const { regionBytes, anonBytes, shmemBytes } = this.#options;
    const regions = c[Counter.EVICTED_REGIONS]!;
    const rawBytes = regions * regionBytes;
    const storedBytes = c[Counter.EVICTED_STORED_BYTES]!;
    const steps = [Counter.MOVE_MS, Counter.WRITE_MS, Counter.SYNC_MS, Counter.RELEASE_MS];
    const busySeconds = steps.reduce((sum, step) => sum + c[step]!, 0) / 1000;
    const perRegion = (counter: number): number => round(divide(c[counter]!, regions), 3);
    const wrongWords = this.#total(MutatorCounter.WRONG_WORDS);
    const same = this.#results.every(({ seen, expected }) => seen === expected);
    return {
      environment: { kernel: release(), node: process.version, userfaultfd: this.#kind },
      options: this.#options,
      verdict: wrongWords === 0 && same && this.#results.length === MUTATORS ? 'right' : 'wrong',
      reads: this.#total(MutatorCounter.READS),
      writes: this.#total(MutatorCounter.WRITES),
      wrongWords,
      firstWrong: this.#results.map(({ firstWrong }) => firstWrong).find((text) => text !== undefined),
      checksums: this.#results.map(({ seen, expected }) => ({ seen, expected })),
      memory: {
        full: this.#full!,
        running: this.#running!,
        residentBytes: this.#residentBytes,
        totalBytes: anonBytes + shmemBytes,
      },
      eviction: {
        regions,
        rawBytes,
        storedBytes,
        ratio: round(divide(rawBytes, storedBytes), 3),
        rawMiBPerSecond: round(divide(rawBytes / MIB, busySeconds), 1),
        storedMiBPerSecond: round(divide(storedBytes / MIB, busySeconds), 1),
        movedRegions: c[Counter.MOVED_REGIONS]!,
        moveUs: round(divide(c[Counter.MOVE_MS]! * 1000, c[Counter.MOVED_REGIONS]!), 1),
        msPerRegion: {
          write: perRegion(Counter.WRITE_MS),
          sync: perRegion(Counter.SYNC_MS),
          release: perRegion(Counter.RELEASE_MS),
        },
      },
      faults: {
        loaded: c[Counter.LOADED]!,
        rescued: c[Counter.RESCUED]!,
        stale: c[Counter.STALE]!,
        loadMeanUs: round(divide(c[Counter.LOAD_MS]! * 1000, c[Counter.LOADED]!), 1),
        stallLoaded: Histograms.quantiles(this.#loaded),
        stallRescued: Histograms.quantiles(this.#rescued),
      },
      file: this.#fileBytes,
      evictionErrors: {
        count: c[Counter.EVICTION_ERRORS]!,
        broughtBack: c[Counter.BROUGHT_BACK]!,
        first: this.#firstError,
      },
      seconds: {
        fill: round((this.#started - this.#created) / 1000, 2),
        run: round((this.#ran - this.#started) / 1000, 2),
        verify: round((this.#verified - this.#ran) / 1000, 2),
      },
    };
  }

  /** Regions that take memory: all that are not in the file only. */
  #resident(): number {
    const census = this.#table.census();
    return (this.#table.count - census[RegionState.IN_FILE]!) * this.#options.regionBytes;
  }

  #total(counter: number): number {
    return this.#sum((index) => this.#counters[index]!, counter);
  }

  #sum(value: (index: number) => number, counter: number): number {
    let sum = 0;
    for (let mutator = 0; mutator < MUTATORS; mutator++) sum += value(mutatorCounter(mutator, counter));
    return sum;
  }
}

function divide(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}

function round(n: number, digits: number): number {
  return Number(n.toFixed(digits));
}

/** What the process holds now. */
export function residentMemory(): ResidentMemory {
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)![1]) * 1024;
  return { rssBytes: field('VmRSS'), anonBytes: field('RssAnon'), shmemBytes: field('RssShmem') };
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;
const thousands = (n: number): string => Math.round(n).toLocaleString('en-US').replaceAll(',', ' ');

export function progressLine(p: Progress): string {
  const parts = [
    `${p.seconds.toFixed(0).padStart(3)} s${p.verifying ? ' reading all' : ''}`,
    `resident ${mib(p.residentBytes)} of ${mib(p.totalBytes)} (RSS ${mib(p.rssBytes)})`,
    `in file ${mib(p.inFileRawBytes)} as ${mib(p.inFileStoredBytes)}`,
    `evicting ${p.evictedMiBPerSecond.toFixed(0)} MiB/s`,
    `loads ${p.loadsPerSecond.toFixed(0)}/s p50 ${ms(p.loaded.p50Us)} p99 ${ms(p.loaded.p99Us)}`,
    `rescues ${p.rescuesPerSecond.toFixed(0)}/s`,
    `${thousands(p.accessesPerSecond / 1000)} k accesses/s`,
    `wrong ${p.wrongWords}`,
  ];
  return parts.join(' | ');
}

function ms(us: number): string {
  return `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`;
}

export function formatReport(r: SwapReport): string {
  const { memory, eviction, faults } = r;
  const part = (seen: number, all: number): string => `${((100 * seen) / all).toFixed(0)} %`;
  const stall = (q: Quantiles): string =>
    `p50 ${ms(q.p50Us)}, p99 ${ms(q.p99Us)}, max ${ms(q.maxUs)} (${thousands(q.count)} timed)`;
  const lines = [
    `Linux ${r.environment.kernel}, Node ${r.environment.node}, userfaultfd ${r.environment.userfaultfd}, codec ${r.options.codec}`,
    `memory      ${mib(memory.totalBytes)} in use, ${mib(memory.residentBytes)} resident (${part(memory.residentBytes, memory.totalBytes)}); ` +
      `process RSS ${mib(memory.full.rssBytes)} → ${mib(memory.running.rssBytes)}`,
    `contents    ${thousands(r.reads)} records read and compared, ${thousands(r.writes)} written, ${r.wrongWords} words wrong`,
    `checksums   ${r.checksums.map(({ seen, expected }) => (seen === expected ? seen : `${seen} NOT ${expected}`)).join('  ')}`,
    `eviction    ${thousands(eviction.regions)} regions, ${mib(eviction.rawBytes)} as ${mib(eviction.storedBytes)} (ratio ${eviction.ratio.toFixed(2)}); ` +
      `${eviction.rawMiBPerSecond} MiB/s raw, ${eviction.storedMiBPerSecond} MiB/s compressed while working`,
    `            a region: away in ${eviction.moveUs} µs; write ${eviction.msPerRegion.write} ms, sync ${eviction.msPerRegion.sync} ms, release ${eviction.msPerRegion.release} ms`,
    `refaults    ${thousands(faults.loaded)} from the file: ${stall(faults.stallLoaded)}; server alone ${ms(faults.loadMeanUs)} on average`,
    `            ${thousands(faults.rescued)} from the shadow: ${stall(faults.stallRescued)}`,
    `swap file   ${mib(r.file.usedBytes)} used, ${mib(r.file.endBytes)} long, ${mib(r.file.diskBytes)} on the disk`,
  ];
  const { count, broughtBack, first } = r.evictionErrors;
  if (first !== undefined) {
    lines.push(
      `errors      ${count} evictions failed, ${thousands(broughtBack)} regions stayed in memory; the first: ${first.code}: ${first.message}`,
    );
  }
  lines.push(
    r.verdict === 'right'
      ? 'not one wrong byte'
      : `WRONG: ${r.wrongWords} words; the first: ${r.firstWrong ?? 'only the checksum differs'}`,
  );
  return `${lines.join('\n')}\n`;
}
