// Builds dist/: TypeScript by tsc, the collector's kernels by the AssemblyScript compiler, and from both the package's entries, a few files
// instead of a hundred: every thread of a heap loads them, and finding and reading modules was half of what a heap cost to create.
// Steps whose inputs have not changed since their last output are skipped, so `npm start` and `npm test` may always call it.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
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

/** Options of everything that runs on a heap's memory. */
const assembly = [
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
];

/** @param except options of the above that are left out */
function compileAssembly(output, inputs, entry, except = []) {
  mkdirSync(dirname(output), { recursive: true });
  const options = assembly.filter((option) => !except.includes(option));
  step(output, [...inputs, 'src/heap/layout.ts', 'scripts'], 'assemblyscript/bin/asc.js', [
    entry,
    '--outFile',
    output,
    ...options,
    ...(inputs.includes('src/guest') ? ['--path', packages] : []),
  ]);
}

// Guests import `tospace/guest` as they would with the package installed: the AssemblyScript compiler, which knows no "exports", finds it
// in a folder of that name at the package's root.
mkdirSync('guest', { recursive: true });
const shim = "export * from '../src/guest/index';\n";
if (!existsSync('guest/index.ts') || readFileSync('guest/index.ts', 'utf8') !== shim)
  writeFileSync('guest/index.ts', shim);
const packages = mkdtempSync(join(tmpdir(), 'tospace-build-'));
symlinkSync(root, join(packages, 'tospace'));
process.on('exit', () => rmSync(packages, { recursive: true }));
compileAssembly('dist/src/gc/kernels.wasm', ['src/gc/kernels'], 'src/gc/kernels/index.ts');
for (const folder of ['examples/wasm-guest', 'bench/guest']) {
  const sources = `${folder}/assembly`;
  const inputs = ['src/guest', sources];
  compileAssembly(`dist/${folder}/guest.wasm`, inputs, `${sources}/index.ts`);
  // The same with its checks, for heaps with `verify`.
  compileAssembly(`dist/${folder}/guest.checked.wasm`, inputs, `${sources}/index.ts`, ['--noAssert']);
}

// tsc rewrites every output, so the entry point stands for all of them.
step('dist/bench/main.js', ['src', 'bench', 'examples', 'tsconfig.json', 'scripts'], 'typescript/bin/tsc', [
  '-p',
  'tsconfig.json',
]);
chmodSync('dist/bench/main.js', 0o755);

/**
 * The package's entries by their names in dist/lib, and what runs in threads and processes of its own, which is looked for beside the code
 * that starts it.
 */
const ENTRIES = {
  index: 'dist/src/index.js',
  uffd: 'dist/src/uffd/index.js',
  conformance: 'dist/src/conformance/index.js',
  worker: 'dist/src/gc/worker.js',
  watch: 'dist/src/gc/watch.js',
  child: 'dist/src/conformance/child.js',
};

async function bundle() {
  const inputs = ['dist/src', 'scripts', 'package.json'];
  if (existsSync('dist/lib/worker.js') && newest('dist/lib/worker.js') >= newest(...inputs)) return;
  const { build } = await import('rolldown');
  rmSync('dist/lib', { recursive: true, force: true });
  await build({
    input: ENTRIES,
    platform: 'node',
    external: ['koffi', 'piscina'],
    // What they share is in files of its own: a thread that loads two of them has one TospaceError.
    output: { dir: 'dist/lib', format: 'esm', sourcemap: true, chunkFileNames: 'shared-[hash].js' },
    logLevel: 'warn',
  });
  // It is looked for beside the code that loads it.
  copyFileSync('dist/src/gc/kernels.wasm', 'dist/lib/kernels.wasm');
}
await bundle();
