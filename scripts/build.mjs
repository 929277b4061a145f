// Builds dist/: TypeScript by tsc, the collector's kernels by the AssemblyScript compiler.
// Steps whose inputs have not changed since their last output are skipped, so `npm start` and `npm test` may always call it.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

/** Newest modification time below the paths, in milliseconds. */
function newest(...paths) {
  let time = 0;
  for (const path of paths) {
    if (!existsSync(path)) continue;
    const stat = statSync(path);
    if (!stat.isDirectory()) time = Math.max(time, stat.mtimeMs);
    // A folder's own time counts too: it changes when a file in it is added or removed.
    else time = Math.max(time, stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
  }
  return time;
}

function step(output, inputs, command, args) {
  if (existsSync(output) && newest(output) >= newest(...inputs)) return;
  const { status, error } = spawnSync(process.execPath, [join('node_modules', command), ...args], {
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const kernels = 'dist/src/gc/kernels.wasm';
mkdirSync(dirname(kernels), { recursive: true });
step(kernels, ['src/gc/kernels', 'src/heap/layout.ts', 'scripts'], 'assemblyscript/bin/asc.js', [
  'src/gc/kernels/index.ts',
  '--outFile',
  kernels,
  '-O3',
  '--noAssert',
  '--converge',
  '--runtime',
  'stub',
  '--importMemory',
  '--noExportMemory',
  '--sharedMemory',
  '--initialMemory',
  '65536',
  '--maximumMemory',
  '65536',
  '--enable',
  'threads,simd',
  // No abort import and no messages: a string would become a data segment that every instance writes into the heap.
  '--use',
  'abort=',
]);
// tsc rewrites every output, so the entry point stands for all of them.
step('dist/bench/main.js', ['src', 'bench', 'examples', 'tsconfig.json', 'scripts'], 'typescript/bin/tsc', [
  '-p',
  'tsconfig.json',
]);
chmodSync('dist/bench/main.js', 0o755);
