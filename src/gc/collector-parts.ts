// What both compacting collectors are put together from, once for each heap (collector.ts).

import type { WorkerContext } from './context.ts';
import type { World } from './cycle.ts';
import type { Governor } from './governor.ts';
import type { NonMoving } from './non-moving.ts';
import type { References } from './references.ts';
import type { Retention } from './retention.ts';
import type { Tracer } from './tracer.ts';
import type { Verifier } from './verify/verifier.ts';

export interface CollectorParts {
  readonly context: WorkerContext;
  readonly world: World;
  readonly tracer: Tracer;
  readonly nonMoving: NonMoving;
  readonly references: References;
  readonly retention: Retention;
  /** Only where the heap verifies. */
  readonly verifier: Verifier | undefined;
  readonly governor: Governor;
}
