// The documents: the README's example runs, and what they point at exists.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
// @ts-expect-error: a script without types
import { optionsDocument } from '../scripts/options-document.mjs';
import { runCommand } from './support/child.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const examples = readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`);
const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
  ...examples.filter((name) => existsSync(join(root, name))),
];

test("the README's example runs as it stands", async () => {
  const code = /```ts\n([\s\S]*?)```/.exec(read('README.md'))?.[1];
  expect(code).toBeDefined();
  const result = await runCommand(process.execPath, ['--input-type=module', '--eval', code!]);
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  // The last list has the cells from 10 000 001 to 10 000 500.
  expect(result.stdout).toMatch(/^5000125250 \{/);
});

test.each(documents)('%s links to files that exist', (name) => {
  const text = read(name);
  for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
    expect(existsSync(join(root, dirname(name), target!)), `${name} → ${target}`).toBe(true);
  }
  // Paths in code font, as far as they name a file of this repository.
  for (const [, path] of text.matchAll(/`((?:src|bench|test|docs)\/[\w./-]+\.\w+)`/g)) {
    expect(existsSync(join(root, path!)), `${name} names ${path}`).toBe(true);
  }
});

test('docs/options.md is what the table says: npm run docs', () => {
  expect(read('docs/options.md')).toBe(optionsDocument());
});
