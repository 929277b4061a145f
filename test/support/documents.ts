// What the documents let a reader do: their blocks of code, as programs and as commands.
//
// The `ts` blocks of a document are one program, from top to bottom, unless a block begins with an import: then a new program begins.
// A line that ends in `// true` is a claim: the program fails where it is not so.
// What a block needs and the reader does not want to see stands before it in a comment of the Markdown: <!-- run: CODE -->.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

/** Every document of the package, by its path from the root. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(ROOT, 'examples'))
    .map((name) => `examples/${name}/README.md`)
    .filter((name) => existsSync(join(ROOT, name))),
];

export interface Program {
  readonly document: string;
  /** Of its first block. */
  readonly line: number;
  readonly source: string;
}

const PIECE = /```ts\n(?<block>[\s\S]*?)```|<!-- run:\s(?<hidden>[\s\S]*?)-->/g;

export function programsOf(document: string): Program[] {
  const text = read(document);
  const programs: Program[] = [];
  let pieces: string[] = [];
  let line = 0;
  let hasBlock = false;
  const end = (): void => {
    if (hasBlock) programs.push({ document, line, source: pieces.join('\n') });
    pieces = [];
    hasBlock = false;
  };
  for (const { index, groups } of text.matchAll(PIECE)) {
    const { block, hidden } = groups!;
    if (block !== undefined && hasBlock && /^\s*import /.test(block)) end();
    if (block !== undefined && !hasBlock) {
      hasBlock = true;
      line = text.slice(0, index).split('\n').length;
    }
    pieces.push(block ?? hidden!);
  }
  end();
  return programs;
}

/** The program as a module that Node.js runs. */
export function compile({ source }: Program): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const asserting = source.replace(
    /^( *)(\S.*); \/\/ true$/gm,
    (_, indent, claim) => `${indent}if (!(${claim})) throw new Error(${JSON.stringify(`not so: ${claim}`)});`,
  );
  return ts.transpileModule(asserting, { compilerOptions }).outputText;
}

/** What the compiler says of the programs, as a reader's would who has not asked for more than `strict`. */
export function typeErrors(programs: readonly Program[]): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    strict: true,
    // Functions in documents do not say of what type their parameters are.
    noImplicitAny: false,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
  };
  const sources = new Map(
    programs.map(({ document, line, source }) => [
      join(ROOT, `${document}.${line}.ts`),
      `${source}\nexport {};`,
    ]),
  );
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (name) => sources.has(name) || fileExists(name);
  host.readFile = (name) => sources.get(name) ?? readFile(name);
  const program = ts.createProgram([...sources.keys()], options, host);
  return ts
    .getPreEmitDiagnostics(program)
    .map((diagnostic) => ts.formatDiagnostic(diagnostic, { ...host, getCurrentDirectory: () => ROOT }));
}

export interface CommandLine {
  readonly document: string;
  readonly line: number;
  readonly variables: Readonly<Record<string, string>>;
  readonly words: readonly string[];
}

/** The commands of the `sh` blocks, one for each program that is started. */
export function commandsOf(document: string): CommandLine[] {
  const text = read(document);
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(({ 1: block, index }) => {
    const first = text.slice(0, index).split('\n').length + 1;
    return block!
      .replace(/\\\n/g, ' ')
      .split('\n')
      .flatMap((written, i) =>
        written
          .replace(/(^|\s)#.*$/, '')
          .replace(/\s[<>]\s*\S+/g, '')
          .split('&&')
          .map((command) =>
            (command.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^(["'])(.*)\1$/, '$2')),
          )
          .filter((words) => words.length > 0)
          .map((words) => {
            const end = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
            const variables = words.slice(0, end).map((word) => {
              const at = word.indexOf('=');
              return [word.slice(0, at), word.slice(at + 1)] as const;
            });
            return {
              document,
              line: first + i,
              variables: Object.fromEntries(variables),
              words: words.slice(end),
            };
          }),
      );
  });
}
