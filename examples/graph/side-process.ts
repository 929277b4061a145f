// The process of one side in one round: it is told what to do by its parent, and tells it the result.
import { type EncodedError, encodeError } from 'tospace/uffd';
import { measureSide, type SideResult } from './measure-side.ts';
import type { GraphOptions } from './options.ts';
import type { SideName } from './sides.ts';

export interface SideOrder {
  readonly side: SideName;
  readonly options: GraphOptions;
}

export type SideMessage = { readonly result: SideResult } | { readonly error: EncodedError };

process.once('message', async ({ side, options }: SideOrder) => {
  let message: SideMessage;
  try {
    message = { result: await measureSide(side, options) };
  } catch (error) {
    message = { error: encodeError(error) };
  }
  // Threads may be left when something failed.
  process.send!(message, () => process.exit());
});
// The parent was interrupted: what this process measures is of no use to anybody.
process.once('disconnect', () => process.exit(1));
