// All experiments, in the order in which they are made and reported: what an experiment needs comes before it.
import { ACCESS } from './access.ts';
import type { ExperimentGroup } from './experiment.ts';
import { FEATURES } from './features.ts';
import { LIMITS } from './limits.ts';
import { MEMORY } from './memory.ts';
import { MOVES } from './moves.ts';
import { PROCESSORS } from './processors.ts';
import { REQUESTS } from './requests.ts';

export const CATALOGUE: readonly ExperimentGroup[] = [
  ACCESS,
  MEMORY,
  MOVES,
  REQUESTS,
  FEATURES,
  LIMITS,
  PROCESSORS,
];
