// What a person sees while a suite runs, on standard error: one line that is rewritten on a terminal, a line for each process elsewhere.

import type { Listener } from './orchestrate.ts';
import type { Configuration, Measurement } from './schema.ts';

const INTERVAL_MS = 200;

/** `48 s`, `4 min`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class SuiteProgress implements Listener {
  readonly #stream: NodeJS.WriteStream;
  readonly #start = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #now: { text: string; since: number; index: number; total: number } | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    if (stream.isTTY) this.#timer = setInterval(() => this.#show(), INTERVAL_MS).unref();
  }

  /** A line that stays. */
  line(text: string): void {
    this.#clear();
    this.#stream.write(`${text}\n`);
  }

  begins(configuration: Configuration, run: number, index: number, total: number): void {
    this.#now = { text: `${configuration.id} run ${run}`, since: performance.now(), index, total };
    this.#show();
  }

  ended({ id, facts, outcome }: Measurement, index: number, total: number): void {
    if (this.#stream.isTTY) return;
    const what =
      facts === null
        ? `failed: ${outcome.type === 'failed' ? outcome.reason : ''}`
        : `${formatDuration(facts.wallMs)}, CPU ${formatDuration(facts.cpuMs)}`;
    this.line(`${index}/${total} ${id}: ${what}`);
  }

  problem(text: string): void {
    this.line(`tospace: ${text}`);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #show(): void {
    if (!this.#stream.isTTY || this.#now === undefined) return;
    const { text, since, index, total } = this.#now;
    const elapsed = performance.now() - this.#start;
    const left =
      index > 1 ? `, about ${formatDuration((elapsed / (index - 1)) * (total - index + 1))} left` : '';
    const line = `${index}/${total} ${text} · ${((performance.now() - since) / 1000).toFixed(1)} s${left}`;
    this.#stream.write(`\r\x1b[K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }

  #clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
  }
}
