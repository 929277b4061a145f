// Finds compilers on the PATH and builds the peers' programs with them, each state of the sources once.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A cold compiler on a busy machine takes half a minute at most. */
const TOOL_TIMEOUT_MS = 180_000;

/** Why a peer cannot be built here, for people. */
export class Unavailable extends Error {}

export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Path of a program. @throws Unavailable */
export function findTool(name: string): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder || '.', name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there: the next one.
    }
  }
  throw new Unavailable(`${name} is not installed (bench/peers/install.sh installs it on Debian)`);
}

/** Runs a tool and returns what it wrote on standard output. @throws Unavailable with what it wrote on standard error */
export function runTool(
  path: string,
  args: readonly string[],
  { cwd, env }: ToolOptions = {},
): Promise<string> {
  return new Promise((done, reject) => {
    execFile(
      path,
      [...args],
      {
        encoding: 'utf8',
        timeout: TOOL_TIMEOUT_MS,
        ...(cwd === undefined ? {} : { cwd }),
        env: { ...process.env, ...env },
      },
      (error, stdout, stderr) => {
        if (error === null) done(stdout);
        else reject(new Unavailable(`${path} failed: ${stderr.trim() || error.message}`));
      },
    );
  });
}

/** The sources of a language: they are not copied to dist, they lie in the package beside it. */
export function sourceFolder(language: string): string {
  return fileURLToPath(new URL(`../../../bench/peers/${language}/`, import.meta.url));
}

/** Paths of the sources with these endings, sorted. */
export function sourcesOf(language: string, ...endings: readonly string[]): string[] {
  const folder = sourceFolder(language);
  return readdirSync(folder)
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .sort()
    .map((name) => join(folder, name));
}

/**
 * Folder below `dir` with what `build` makes of the sources. Built when it is not there yet: its name follows from the
 * sources and from `version`, which has the tools' versions and flags. Two processes may build it at once.
 */
export async function built(
  dir: string,
  language: string,
  version: string,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(version);
  const folder = sourceFolder(language);
  for (const name of readdirSync(folder).sort()) hash.update(name).update(readFileSync(join(folder, name)));
  const target = resolve(dir, `${language}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(target)) return target;
  mkdirSync(dir, { recursive: true });
  const scratch = mkdtempSync(`${target}.`);
  try {
    await build(scratch);
    renameSync(scratch, target);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    // Somebody else was faster.
    if (!existsSync(target)) throw error;
  }
  return target;
}
