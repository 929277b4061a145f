// What one thread posts to another so that it can attach to a heap.

import type { ArenaHandle } from '../heap/arena.ts';
import type { StartMode } from './mode.ts';
import type { ResolvedOptions } from './options.ts';

/** What another thread needs to attach to a heap. Can be posted to it. */
export interface SharedHeap {
  readonly arena: ArenaHandle;
  readonly options: ResolvedOptions;
  readonly workers: number;
  readonly mode: StartMode;
  /** `threadId` of the thread that created the heap. */
  readonly creator: number;
}
