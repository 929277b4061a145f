// What the collector tells the thread that created the heap.

import type { EncodedError } from '../errors.ts';
import type { CycleReport } from './cycle.ts';

export type HeapEvent =
  | { readonly type: 'cycle'; readonly report: CycleReport }
  | { readonly type: 'abandoned'; readonly error: EncodedError };
