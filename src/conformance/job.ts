// What the kit's parent process tells a child, and what the child says.

import type { EncodedError } from '../errors.ts';
import type { CheckContext, Outcome } from './checks/check.ts';
import type { ConfigurationName } from './configurations.ts';
import type { CheckName } from './report.ts';

/** The child's first argument, as JSON. */
export interface Job {
  /** The module whose default export is the embedder. */
  readonly module: string;
  readonly check: CheckName;
  readonly seed: number;
  readonly effort: number;
  /** When the parent takes the child to hang. */
  readonly timeoutMs: number;
  /** For a history. */
  readonly configuration?: ConfigurationName;
  readonly steps?: number;
}

/** Where the runtime's code is at work. */
export type Place = Parameters<CheckContext['at']>[0];

/** A line of JSON on the child's descriptor 3. */
export type Message =
  | { readonly at: Place }
  | { readonly outcome: Outcome }
  /** What was thrown: by the embedder's module as it loaded, or else by a hook where nothing is wrong with the heap. */
  | { readonly error: EncodedError; readonly loaded: boolean };

/** The child's descriptor for messages: standard output is the embedder's. */
export const MESSAGES_FD = 3;
