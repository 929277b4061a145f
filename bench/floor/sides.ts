// The two sides of a comparison: each measurement is a fresh process that prints one JSON object. Processes of the two languages
// alternate, and which of them goes first alternates too.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CPrograms } from './compiler.ts';

/** A child that has not ended by then hangs: it is killed. The longest measurement takes about ten seconds. */
const CHILD_TIMEOUT_MS = 120_000;
/** Printed samples: some ten bytes for each fault. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const execute = promisify(execFile);

export interface Pairs<Samples> {
  readonly tospace: readonly Samples[];
  /** Empty without a compiler; otherwise entry i belongs to the same round as entry i of `tospace`. */
  readonly c: readonly Samples[];
}

export class Sides {
  readonly #programs: CPrograms | undefined;
  readonly #rounds: number;
  readonly #progress: (what: string) => void;

  constructor(programs: CPrograms | undefined, rounds: number, progress: (what: string) => void) {
    this.#programs = programs;
    this.#rounds = rounds;
    this.#progress = progress;
  }

  /**
   * Runs the program `name` with `args` in both languages, `rounds` times each.
   * @param cArgs what only the C side is told, behind `args`.
   * @throws Error when a child fails or hangs, with what it wrote.
   */
  async measure<Samples>(
    name: string,
    args: readonly (string | number)[],
    cArgs: readonly number[] = [],
  ): Promise<Pairs<Samples>> {
    const tospace: Samples[] = [];
    const c: Samples[] = [];
    const program = this.#programs?.path(name);
    for (let round = 0; round < this.#rounds; round++) {
      this.#progress(`${name} ${args.join(' ')}: round ${round + 1} of ${this.#rounds}`);
      const script = fileURLToPath(new URL(`./${name}-child.js`, import.meta.url));
      const steps = [
        async () => void tospace.push(await child<Samples>(process.execPath, [script, ...args])),
      ];
      if (program !== undefined)
        steps.push(async () => void c.push(await child<Samples>(program, [...args, ...cArgs])));
      if (round % 2 === 1) steps.reverse();
      for (const step of steps) await step();
    }
    return { tospace, c };
  }
}

async function child<Samples>(file: string, args: readonly (string | number)[]): Promise<Samples> {
  const { stdout } = await execute(file, args.map(String), {
    // A thread that sits in a page fault answers to no other signal.
    killSignal: 'SIGKILL',
    timeout: CHILD_TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return JSON.parse(stdout) as Samples;
}
