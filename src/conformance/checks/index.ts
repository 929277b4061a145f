// The checks by name; histories are apart, because they take a configuration.

import type { CheckName } from '../report.ts';
import { barrier } from './barrier.ts';
import type { Check } from './check.ts';
import { hooks } from './hooks.ts';
import { map } from './map.ts';
import { roots } from './roots.ts';
import { safepoint } from './safepoint.ts';
import { size } from './size.ts';
import { stale } from './stale.ts';

export const CHECK_BY_NAME: Readonly<Record<Exclude<CheckName, 'history'>, Check>> = {
  hooks,
  size,
  map,
  roots,
  barrier,
  stale,
  safepoint,
};
