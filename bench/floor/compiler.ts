// Finds a C compiler on the PATH and compiles the C halves into a folder that is removed afterwards.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** popcnt: WebAssembly engines use that instruction where the CPU has it, and compilers for C only when told. */
export const FLAGS: readonly string[] = ['-O3', '-mpopcnt', '-pthread'];

const COMPILERS = ['gcc', 'cc'] as const;
const COMPILE_TIMEOUT_MS = 60_000;

export interface Compiler {
  readonly path: string;
  /** First line of what it says of itself. */
  readonly version: string;
}

export function findCompiler(): Compiler | undefined {
  for (const name of COMPILERS) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder || '.', name);
      try {
        accessSync(path, constants.X_OK);
        const version = execFileSync(path, ['--version'], { encoding: 'utf8', timeout: COMPILE_TIMEOUT_MS });
        return { path, version: version.split('\n')[0]! };
      } catch {
        // Not there, or not a compiler: the next one.
      }
    }
  }
  return undefined;
}

/** Executables of the C halves, while they are needed. */
export class CPrograms implements Disposable {
  readonly #compiler: Compiler;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'tospace-floor-'));
  readonly #compiled = new Set<string>();

  constructor(compiler: Compiler) {
    this.#compiler = compiler;
  }

  /**
   * Path of the program `name`, compiled at the first call.
   * @throws Error with the compiler's messages
   */
  path(name: string): string {
    const output = join(this.#folder, name);
    if (!this.#compiled.has(name)) {
      // The sources are not copied to dist: they lie in the package beside it.
      const source = fileURLToPath(new URL(`../../../bench/floor/${name}.c`, import.meta.url));
      execFileSync(this.#compiler.path, [...FLAGS, '-o', output, source], {
        stdio: 'pipe',
        timeout: COMPILE_TIMEOUT_MS,
      });
      this.#compiled.add(name);
    }
    return output;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
