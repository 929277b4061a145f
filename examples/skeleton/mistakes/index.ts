// The skeleton with one mistake in it: what each is, its file says.
import type { Embedder, Mistake } from 'tospace/conformance';
import type { Types } from '../layout.ts';
import type { Machine } from '../machine.ts';
import lyingSize from './lying-size.ts';
import missedBarrier from './missed-barrier.ts';
import missedRoot from './missed-root.ts';
import staleReference from './stale-reference.ts';
import wrongMap from './wrong-map.ts';

export const MISTAKES: Readonly<Partial<Record<Mistake, Embedder<Machine, Types>>>> = {
  'missed-root': missedRoot,
  'missed-barrier': missedBarrier,
  'wrong-map': wrongMap,
  'stale-reference': staleReference,
  'lying-size': lyingSize,
};
