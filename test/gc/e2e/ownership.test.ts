// What belongs to a mutator is nobody else's, also where somebody makes a mistake.
import { test } from 'vitest';
import { batch } from './support.ts';

const CASES = {
  'a detached mutator touches nothing of the one that has its record now': ['detached'],
  'the same in a verifying heap': ['detached', { verify: 'full' }],
  'a handle whose close() is refused stays open, and is closed once': ['refusedClose'],
  'descriptors that allocate or throw when they are asked': ['descriptors'],
} as const;

test.each(Object.keys(CASES))('%s', batch('ownership', CASES));
