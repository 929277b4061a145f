// The rules of the source tree that no compiler checks.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

function filesBelow(folder: string, ending: RegExp): string[] {
  if (!existsSync(join(root, folder))) return [];
  return (readdirSync(join(root, folder), { recursive: true }) as string[])
    .map((name) => join(folder, name))
    .filter(
      (name) => ending.test(name) && !name.includes('node_modules') && statSync(join(root, name)).isFile(),
    );
}
const text = (file: string): string => readFileSync(join(root, file), 'utf8');

/** What a file imports: names of packages as they are, relative ones as paths from the root. */
function imports(file: string): string[] {
  const found = [
    ...text(file).matchAll(/(?:^|\n)\s*(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]/g),
  ].map((match) => match[1]!);
  found.push(
    ...[...text(file).matchAll(/(?:\bimport|\brequire)\(\s*['"]([^'"]+)['"]/g)].map((match) => match[1]!),
  );
  return found.map((name) =>
    name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name,
  );
}

const source = filesBelow('src', /\.ts$/);
const bench = filesBelow('bench', /\.(ts|mjs|js)$/);
const examples = filesBelow('examples', /\.(ts|mjs|js)$/);

describe('dependencies point one way', () => {
  const layers: [string, RegExp][] = [
    ['src/errors.ts', /^$/],
    ['src/known-keys.ts', /^(src\/errors\.ts|node:util)$/],
    ['src/uffd', /^(src\/(errors|known-keys)\.ts|src\/uffd\/.*|node:.*|koffi)$/],
    ['src/heap', /^(src\/(errors|known-keys)\.ts|src\/heap\/.*|src\/uffd\/index\.ts|node:.*)$/],
    [
      'src/gc',
      /^(src\/(errors|known-keys)\.ts|src\/gc\/.*|src\/heap\/.*|src\/uffd\/index\.ts|node:.*|piscina)$/,
    ],
    // What guests are compiled with: nothing of it runs on the host.
    ['src/guest/', /^src\/heap\/layout$/],
    [
      'src/conformance',
      /^(src\/(errors|known-keys)\.ts|src\/conformance\/.*|src\/gc\/.*|src\/heap\/.*|node:.*)$/,
    ],
    // The AssemblyScript compiler wants paths without an ending; kernels share nothing but the layout.
    ['src/gc/kernels/', /^(src\/gc\/kernels\/[a-z-]+|src\/heap\/layout)$/],
  ];
  test.each(layers)('%s', (layer, allowed) => {
    const files = source.filter(
      (file) => file.startsWith(layer) && (layer.endsWith('/') || !file.startsWith('src/gc/kernels/')),
    );
    expect(files.length).toBeGreaterThan(0);
    const wrong = files.flatMap((file) =>
      imports(file)
        .filter((name) => !allowed.test(name))
        .map((name) => `${file} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('every source file belongs to a layer, or is the entry', () => {
    const stray = source.filter(
      (file) =>
        !/^src\/(uffd|heap|gc|guest|conformance)\/|^src\/(errors|known-keys|index|webassembly\.d)\.ts$/.test(
          file,
        ),
    );
    expect(stray).toEqual([]);
  });

  test.each(['koffi', 'piscina'])('%s is imported in exactly one file', (name) => {
    expect([...source, ...bench].filter((file) => imports(file).includes(name)).length).toBe(1);
  });

  test('the benchmarks use the public entries only', () => {
    const wrong = bench.flatMap((file) =>
      imports(file)
        .filter(
          (name) =>
            !/^(tospace|tospace\/uffd|tospace\/guest|tospace\/package\.json|node:.*|bench\/.*|#bench\/.*)$/.test(
              name,
            ),
        )
        .map((name) => `${file} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('the examples use the public entries only, as a user would', () => {
    const wrong = examples.flatMap((file) =>
      imports(file)
        .filter(
          (name) =>
            !/^(tospace|tospace\/uffd|tospace\/guest|tospace\/conformance|node:.*|examples\/.*)$/.test(name),
        )
        .map((name) => `${file} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('the package', () => {
  const manifest = JSON.parse(text('package.json')) as {
    dependencies: Record<string, string>;
    [key: string]: unknown;
  };

  test('needs koffi and piscina at run time, koffi in one exact version', () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual(['koffi', 'piscina']);
    expect(manifest.dependencies.koffi).toMatch(/^\d+\.\d+\.\d+$/);
    for (const kind of ['peerDependencies', 'optionalDependencies', 'bundleDependencies'])
      expect(manifest[kind]).toBeUndefined();
  });

  test('has a watch that may be ended while it starts: it loads no native module', () => {
    const loaded = (file: string, seen = new Set<string>()): Set<string> => {
      if (seen.has(file)) return seen;
      seen.add(file);
      for (const [, name] of text(`dist/lib/${file}`).matchAll(
        /^(?:import|export)\b[^;]*?from "([^"]+)";$/gm,
      )) {
        if (name!.startsWith('./')) loaded(name!.slice(2), seen);
        else seen.add(name!);
      }
      return seen;
    };
    expect(loaded('worker.js')).toContain('koffi');
    expect([...loaded('watch.js')]).toContain('node:fs');
    expect([...loaded('watch.js')].filter((name) => !/^(node:|watch\.js$|shared-)/.test(name))).toEqual([]);
  });

  test('no source file is longer than 500 lines', () => {
    const lines = (file: string): number => text(file).split('\n').length - 1;
    expect(source.filter((file) => lines(file) > 500).map((file) => `${file}: ${lines(file)}`)).toEqual([]);
  });

  test('no committed file names a place of one machine', () => {
    const committed = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    // Written so that this file does not name them either.
    const places = new RegExp(
      ['work', 'home', 'Users', 'tmp'].map((name) => `(?<![\\w.$}>*-])/${name}/[\\w.-]`).join('|'),
    );
    const wrong = committed
      .filter(
        (file) =>
          existsSync(join(root, file)) && file !== 'package-lock.json' && !/\.(png|wasm|svg)$/.test(file),
      )
      .flatMap((file) =>
        text(file)
          .split('\n')
          .flatMap((line, i) =>
            places.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 100)}`] : [],
          ),
      );
    expect(wrong).toEqual([]);
  });

  test('every error code is documented', () => {
    const docs =
      filesBelow('docs', /\.md$/).map(text).join('\n') +
      (existsSync(join(root, 'README.md')) ? text('README.md') : '');
    const codes = [...text('src/errors.ts').matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map((match) => match[1]!);
    expect(codes.length).toBeGreaterThan(5);
    if (filesBelow('docs', /\.md$/).length > 0)
      expect(codes.filter((code) => !docs.includes(code))).toEqual([]);
  });
});
