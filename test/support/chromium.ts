// A browser without a screen, where there is one: to see what a report really becomes.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type ChildResult, runCommand } from './child.js';

const NAMES = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];

/** The first of them on the PATH; undefined where there is none. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why tests that need one are skipped. */
export const NO_CHROMIUM = 'no Chromium: install chromium-headless-shell';

const TIMEOUT_MS = 60_000;

/** Runs it on a page with no way to any network; `messages` is what scripts and the browser said of the page. */
export async function browse(
  chromium: string,
  url: string,
  args: readonly string[],
): Promise<ChildResult & { messages: string[] }> {
  const result = await runCommand(
    chromium,
    [
      ...[
        '--headless',
        '--no-sandbox',
        '--disable-dev-shm-usage',
        '--hide-scrollbars',
        '--enable-logging=stderr',
      ],
      ...['--host-resolver-rules=MAP * ~NOTFOUND', '--disable-background-networking', '--no-first-run'],
      ...args,
      url,
    ],
    TIMEOUT_MS,
  );
  const messages = [...result.stderr.matchAll(/:CONSOLE[:(]\d+\)?\]? (.*)/g)].map((match) => match[1]!);
  return { ...result, messages };
}
