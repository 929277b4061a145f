// Progress while a workload runs, on standard error so that standard output holds nothing but the result: one line that is rewritten on
// a terminal, a line now and then elsewhere.

import type { CycleReport, HeapStatistics, PhaseName } from 'tospace';
import { formatBytes } from './bytes.ts';

const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 5000;

/** What progress is made of; read when a line is due. */
export interface ProgressSource {
  /** Part of the work that is done, 0 to 1. */
  done(): number;
  stats(): HeapStatistics;
  lastCycle(): CycleReport | undefined;
}

/** The pauses of a cycle in words: what the collector took, which is close to what mutators see. */
function pauses({ collector, phasesMs }: CycleReport): string {
  const ms = (...names: PhaseName[]): string =>
    names.reduce((sum, name) => sum + (phasesMs[name] ?? 0), 0).toFixed(2);
  if (collector !== 'concurrent') return `last pause ${ms('mark', 'plan', 'flip', 'compact')} ms`;
  return `last pauses: remark ${ms('remark')} ms, flip ${ms('flip')} ms`;
}

/** One line of progress. */
export function progressLine(source: ProgressSource): string {
  const statistics = source.stats();
  const last = source.lastCycle();
  const parts = [
    `${(source.done() * 100).toFixed(0).padStart(3)} %`,
    `${formatBytes(statistics.usedBytes)} used`,
    `${statistics.cycles} cycles`,
    ...(last === undefined ? [] : [pauses(last)]),
    `${statistics.faults.count} faults`,
  ];
  return parts.join(' · ');
}

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #timer: NodeJS.Timeout;

  constructor(stream: NodeJS.WriteStream, title: string, source: ProgressSource) {
    this.#stream = stream;
    stream.write(`${title}\n`);
    const show = stream.isTTY
      ? (): void => {
          const line = progressLine(source);
          stream.write(`\r\x1b[K${line.slice(0, (stream.columns ?? 80) - 1)}`);
        }
      : (): void => {
          stream.write(`${progressLine(source)}\n`);
        };
    this.#timer = setInterval(show, stream.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
  }
}
