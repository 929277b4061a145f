// docs/options.md from the table of options. `npm run docs` writes it; a test holds it to the table.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HEAP_OPTIONS } from '../dist/src/index.js';

export const PATH = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'options.md');

/** A table with its columns in line, as the formatter wants it. */
function table(rows) {
  const cells = rows.map((row) => row.map((text) => text.replaceAll('|', '\\|')));
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row, fill = ' ') => `| ${row.map((text, i) => text.padEnd(widths[i], fill)).join(' | ')} |`;
  const [head, ...body] = cells;
  return [
    line(head),
    line(
      head.map(() => ''),
      '-',
    ),
    ...body.map((row) => line(row)),
  ];
}

function section({ key, doc, notation, rule, byDefault }) {
  return [
    `### \`${key}\``,
    '',
    doc,
    '',
    `\`${key}=${notation}\`: ${rule.replaceAll('*', '\\*')}. Default: ${byDefault}.`,
    '',
  ];
}

export function optionsDocument() {
  const [plain, stress] = [false, true].map((wanted) =>
    HEAP_OPTIONS.filter(({ key }) => key.startsWith('stress.') === wanted),
  );
  return [
    '# Options',
    '',
    'Made by `npm run docs` from `src/gc/options/table.ts`; a test holds it to that.',
    '',
    'Every knob of a heap has one key, in code and in the environment:',
    '',
    '```ts',
    "import { createHeap } from 'tospace';",
    '',
    "const heap = await createHeap({ collector: 'concurrent', heap: '256MiB', verify: 'phase' });",
    '```',
    '',
    '<!-- run: await heap.close(); -->',
    '',
    '```sh',
    'TOSPACE=collector=concurrent,heap=256MiB,verify=phase node program.js',
    '```',
    '',
    '- **Code goes before the environment, the environment before the defaults**, key by key; members of `stress` are keys of their own. A',
    "  program that wants its user to have the last word says so: `createHeap({ ...mine, ...parseOptions(process.env.TOSPACE ?? '') })`.",
    '- Sizes are numbers of bytes, or text with `B`, `KiB`, `MiB`, `GiB`. Durations are numbers of milliseconds, or text with `ms`, `s`. Text is',
    '  allowed in code too.',
    '- An option string is `KEY=VALUE` joined by commas, every key at most once. `parseOptions` reads one, `formatOptions(heap.options)` writes one,',
    '  and `HEAP_OPTIONS` lists what is below for your own help text.',
    '- A wrong key or value is `ERR_OPTION`, whose message names the key and where it came from (`TOSPACE: heap=banana is not allowed`), and whose',
    '  hint says what is allowed, and which key was probably meant.',
    '- `heap.options` is every option with its value, in bytes and milliseconds. `heap.mode` is what really runs, with `reasons` in words where that',
    '  is not what was asked for. Nothing falls back unless an option says `auto`.',
    '',
    '## All options',
    '',
    ...plain.flatMap(section),
    '## Stress',
    '',
    'Ways to make rare interleavings common, for tests; all are off by default. In code they are members of `stress`:',
    '`{ stress: { collectEveryAllocation: 100, delayMs: { flip: 2 } } }` is `stress.collectEveryAllocation=100,stress.delayMs.flip=2`.',
    '',
    ...table([
      ['key', 'value', 'what it does'],
      ...stress.map(({ key, notation, doc }) => [`\`${key}\``, `\`${notation}\``, doc]),
    ]),
    '',
    '`stress.crash` is `WORKER@POINT:HOW`, such as `server@fault:exit`. `stress.injection` is a list of `[THREAD/]CALL[#REQUEST]@[every]NTH`, then',
    '`:ERRNO`, `:TIMEms` or both, joined by `+`: `collector/mremap@2:ENOMEM+ioctl@every3:5ms` lets the second mremap of the collector fail and holds',
    'up every third ioctl of every thread.',
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PATH, optionsDocument());
