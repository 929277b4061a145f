// The documents: every block of code runs, every command is one that exists, and what they point at is there.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseRunArguments } from '#bench/cli/run-arguments.js';
import { parseOptions } from '#src/gc/options/text.js';
// @ts-expect-error: a script without types
import { optionsDocument } from '../scripts/options-document.mjs';
import { runCommand } from './support/child.ts';
import { commandsOf, compile, DOCUMENTS, programsOf, read, ROOT, typeErrors } from './support/documents.ts';

const PROGRAM_TIMEOUT_MS = 60_000;

/** Its program needs a module that its other blocks are compiled to: test/gc/e2e/guest.test.ts does that. */
const RUN_ELSEWHERE = 'docs/guest-abi.md';

const programs = DOCUMENTS.filter((name) => name !== RUN_ELSEWHERE).flatMap(programsOf);
const commands = DOCUMENTS.flatMap(commandsOf);

test("the README's example prints what it should", async () => {
  const result = await runCommand(
    process.execPath,
    ['--input-type=module', '--eval', compile(programsOf('README.md')[0]!)],
    PROGRAM_TIMEOUT_MS,
  );
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  // The last list has the cells from 10 000 001 to 10 000 500.
  expect(result.stdout).toMatch(/^5000125250 \{/);
}, 90_000);

test('no block of code is passed over', () => {
  const written = DOCUMENTS.flatMap((name) => [...read(name).matchAll(/^```(\w*)$/gm)])
    .map(([, language]) => language!)
    .filter((language) => language !== '');
  // Others would be neither run nor parsed. Guests are compiled and run by test/gc/e2e/guest.test.ts; `js` is a file of the reader's.
  expect(
    [...new Set(written)].filter(
      (language) => !['ts', 'sh', 'text', 'json', 'wat', 'as', 'js'].includes(language),
    ),
  ).toEqual([]);
  expect(programs.length).toBeGreaterThan(3);
  expect(commands.length).toBeGreaterThan(10);
});

describe('every program runs', () => {
  const others = programs.filter(({ document }) => document !== 'README.md');
  test.concurrent.each(others)(
    '$document:$line',
    async (program) => {
      const { status, signal, stderr } = await runCommand(
        process.execPath,
        ['--input-type=module', '--eval', compile(program)],
        PROGRAM_TIMEOUT_MS,
      );
      expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    },
    90_000,
  );
});

test('programs are right for the compiler, too', () => {
  expect(programs.length).toBeGreaterThan(3);
  expect(typeErrors(programs)).toEqual([]);
}, 60_000);

test('the compiler is really asked', () => {
  const source = `import { createHeap } from 'tospace';
await createHeap({ heapBytes: 1 });
(await createHeap()).attach().abandon(); // what is not for users is not declared
`;
  expect(typeErrors([{ document: 'docs/wrong.md', line: 1, source }])).toEqual([
    expect.stringMatching(/wrong\.md\.1\.ts\(2,20\): error TS2353: .*heapBytes/),
    expect.stringMatching(/wrong\.md\.1\.ts\(3,31\): error TS2339: .*abandon/),
  ]);
}, 60_000);

describe('every command exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const main = join(ROOT, 'dist', 'bench', 'main.js');

  const checkTospace = async (args: readonly string[]): Promise<void> => {
    if (args[0] === 'run') {
      parseRunArguments(args.slice(1));
      return;
    }
    const name = args.slice(0, args[0] === 'bench' ? 2 : 1);
    const { status, stdout } = await runCommand(process.execPath, [main, ...name, '--help']);
    expect(status, name.join(' ')).toBe(0);
    for (const word of args) if (word.startsWith('--')) expect(stdout).toContain(word);
  };

  test.each(commands)('$document:$line: $words', async ({ words, variables }) => {
    for (const [name, value] of Object.entries(variables)) {
      expect(name).toBe('TOSPACE');
      parseOptions(value);
    }
    const [program, ...args] = words;
    switch (program) {
      case 'tospace':
        return checkTospace(args);
      case 'npx':
        if (args[0] === 'tospace') return checkTospace(args.slice(1));
        expect(existsSync(join(ROOT, 'node_modules', '.bin', args[0]!)), args[0]).toBe(true);
        return;
      case 'npm': {
        const script = args[0] === 'run' ? args[1]! : args[0]!;
        if (['ci', 'install'].includes(script)) return;
        expect(Object.keys(scripts)).toContain(script);
        if (script === 'example') expect(existsSync(join(ROOT, 'examples', args[2]!, 'main.ts'))).toBe(true);
        return;
      }
      default:
        // Programs of the machine and of the reader: nothing here could check them.
        expect(['node', 'sudo', 'taskset', 'chrt']).toContain(program);
    }
  });
});

test("the guide's links within itself lead somewhere", () => {
  const text = read('docs/embedding.md');
  const anchor = (title: string): string =>
    title
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-');
  const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1]!));
  for (const [, target] of text.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors).toContain(target);
});

describe.each(DOCUMENTS)('%s', (name) => {
  test('links to files that exist', () => {
    const text = read(name);
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      expect(existsSync(join(ROOT, dirname(name), target!)), `${name} → ${target}`).toBe(true);
    }
    // Paths in code font, as far as they name a file of this repository.
    for (const [, path] of text.matchAll(/`((?:src|bench|test|docs)\/[\w./-]+\.\w+)`/g)) {
      expect(existsSync(join(ROOT, path!)), `${name} names ${path}`).toBe(true);
    }
  });
});

test('docs/options.md is what the table says: npm run docs', () => {
  expect(read('docs/options.md')).toBe(optionsDocument());
});

test('docs/errors.md has every error code, with cause and cure', () => {
  const codes = [...read('src/errors.ts').matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(5);
  const sections = read('docs/errors.md').split(/^## /m).slice(1);
  expect(
    sections.map((section) => section.split('\n')[0]!.trim()).filter((title) => title.startsWith('ERR_')),
  ).toEqual(codes);
  for (const section of sections.filter((text) => text.startsWith('ERR_'))) {
    expect(section).toMatch(/^\*\*Cause\.\*\* \S/m);
    expect(section).toMatch(/^\*\*Cure\.\*\* \S/m);
  }
});
