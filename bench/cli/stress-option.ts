// `--stress`, of every command that has it: members of the option `stress`, as in an option string.

import { parseOptions, type StressOptions } from 'tospace';

/**
 * Reads keys without the `stress.` that they have in an option string: `delayMs.flip=2,slowMarkPercent=20`.
 * @throws TospaceError ERR_OPTION that names the key.
 */
export function readStress(text: string | undefined): StressOptions | undefined {
  if (text === undefined) return undefined;
  const keyed = text
    .split(',')
    .map((part) => `stress.${part.trim()}`)
    .join(',');
  return parseOptions(keyed, '--stress').stress;
}
