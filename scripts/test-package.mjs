// `npm run test:package`: the package as a stranger gets it. Packs it, lints the tarball (publint, attw), installs it into an empty folder,
// and runs the README's example and a smoke test there on every Node.js that is supported; compiles against its types with two compilers.
// Needs a registry.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODES = ['20', '22', '24', '26'];
const COMPILER = '5.9.3';
const STEP_TIMEOUT_MS = 120_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), 'tospace-package-'));
const bin = (name) => join(root, 'node_modules', '.bin', name);

/** Runs a command to its end; its output is shown when it fails. */
function run(what, command, args, { cwd = scratch, expected } = {}) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), STEP_TIMEOUT_MS);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      const good = status === 0 && (expected === undefined || expected.test(output));
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${what} (${seconds} s)\n`);
      if (good) resolve(output);
      else reject(new Error(`${what}: status ${status}, signal ${signal}\n${output}`));
    });
  });
}

const SMOKE = `
import { attachHeap, createHeap, formatOptions, NULL, TospaceError } from 'tospace';
import { probe } from 'tospace/uffd';
import { Worker, isMainThread, workerData } from 'node:worker_threads';

if (isMainThread) {
  const heap = await createHeap({ heap: '8MiB', collector: 'auto', verify: 'full' });
  const Cell = heap.defineRecord('Cell', { next: 'ref', value: 'i32', wide: 'i64', small: 'i16' });
  const m = heap.attach({ name: 'main' });
  const shared = m.run(() => {
    const list = m.local(NULL);
    for (let i = 0; i < 1000; i++) {
      const cell = m.allocate(Cell);
      m.setI32(cell, Cell.offset.value, i);
      m.setI64(cell, Cell.offset.wide, BigInt(-i));
      m.setI16(cell, Cell.offset.small, -i);
      m.setRef(cell, Cell.offset.next, m.get(list));
      m.set(list, cell);
    }
    m.collect();
    return m.persist(m.get(list));
  });
  const worker = new Worker(new URL(import.meta.url), { workerData: { heap: heap.share(), Cell, list: shared.share() } });
  const status = await new Promise((resolve) => worker.on('exit', resolve));
  shared.close();
  let code;
  try {
    await createHeap({ heap: 'banana' });
  } catch (error) {
    code = error instanceof TospaceError && error.code;
  }
  const { collector, reasons } = heap.mode;
  const { cycles } = heap.stats();
  console.log(process.version, formatOptions(heap.options).slice(0, 40), probe({ quick: true }).verdict.concurrent, ...reasons);
  m.detach();
  await heap.close();
  if (status === 0 && cycles >= 1 && code === 'ERR_OPTION') console.log('smoke passed', collector);
} else {
  const { heap: posted, Cell, list } = workerData;
  const heap = attachHeap(posted);
  const m = heap.attach({ name: 'reader' });
  const sums = m.run(() => {
    const sums = [0, 0, 0];
    for (let cell = m.borrow(list).get(); cell !== NULL; cell = m.getRef(cell, Cell.offset.next)) {
      sums[0] += m.getI32(cell, Cell.offset.value);
      sums[1] += Number(m.getI64(cell, Cell.offset.wide));
      sums[2] += m.getI16(cell, Cell.offset.small);
    }
    return sums;
  });
  m.detach();
  if (String(sums) !== '499500,-499500,-499500') process.exit(3);
}
`;

function readmeExample() {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  return /```ts\n([\s\S]*?)```/.exec(readme)[1];
}

const TYPES = `
import { createHeap, type HeapMode, type HeapOptions, NULL, type Ref } from 'tospace';
import { probe, Userfaultfd } from 'tospace/uffd';
const options: HeapOptions = { heap: '64MiB', verify: 'phase' };
const heap = await createHeap(options);
const Cell = heap.defineRecord('Cell', { next: 'ref', value: 'i32' });
const m = heap.attach();
m.run(() => {
  const cell: Ref<'Cell'> = m.allocate(Cell);
  m.setRef(cell, Cell.offset.next, NULL);
  // @ts-expect-error a reference is not read as a number
  m.getI32(cell, Cell.offset.next);
});
// @ts-expect-error a reference does not leave run
m.run(() => m.allocate(Cell));
const mode: HeapMode = heap.mode;
console.log(mode.reasons, heap.memory.buffer, probe().verdict, Userfaultfd);
`;

async function main() {
  const packed = await run(
    'npm pack',
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', scratch],
    {
      cwd: root,
    },
  );
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('[\n')));
  const tarball = join(scratch, filename);
  await run('publint', bin('publint'), [tarball, '--strict'], { expected: /All good/ });
  await run('attw', bin('attw'), [tarball, '--profile', 'esm-only']);

  const folder = join(scratch, 'empty');
  mkdirSync(folder);
  await run(
    'npm install in an empty folder',
    'npm',
    ['install', tarball, `typescript@${COMPILER}`, '@types/node@20', '--no-audit', '--no-fund'],
    { cwd: folder },
  );
  writeFileSync(join(folder, 'readme.mjs'), readmeExample());
  writeFileSync(join(folder, 'smoke.mjs'), SMOKE);
  writeFileSync(join(folder, 'types.mts'), TYPES);
  const config = {
    compilerOptions: {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    },
    files: ['types.mts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  for (const [name, compiler] of [
    [COMPILER, join(folder, 'node_modules')],
    ['of this project', join(root, 'node_modules')],
  ]) {
    await run(
      `types with TypeScript ${name}`,
      process.execPath,
      [join(compiler, 'typescript', 'bin', 'tsc'), '-p', '.'],
      {
        cwd: folder,
      },
    );
  }
  await run('tospace --version', 'npx', ['--no-install', 'tospace', '--version'], {
    cwd: folder,
    expected: /^\d+\.\d+\.\d+/m,
  });
  // Two at a time: half of it is waiting for downloads.
  const left = [...NODES];
  const lane = async () => {
    for (let node = left.shift(); node !== undefined; node = left.shift()) {
      await run(
        `smoke test and README on Node.js ${node}`,
        'npx',
        ['-y', '-p', `node@${node}`, 'sh', '-c', 'node smoke.mjs && node readme.mjs'],
        { cwd: folder, expected: new RegExp(`^v${node}\\.[^]*smoke passed[^]*^5000125250 `, 'm') },
      );
    }
  };
  await Promise.all([lane(), lane()]);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
