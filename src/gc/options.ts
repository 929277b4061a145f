// Every knob of a heap: one object, or one string with the same keys, checked at the boundary against one table (options/table.ts).

import { inspect } from 'node:util';
import { TospaceError } from '../errors.ts';
import { KIB, MIB } from '../heap/geometry.ts';
import { unknownKey } from '../known-keys.ts';
import { DELAY, DELAY_POINTS, STRESS_TABLE, type StressSpec, TABLE } from './options/table.ts';
import { parseOptions, printOption, refusedText } from './options/text.ts';
import type { HeapOptions, PlannedOptions, ResolvedOptions, StressOptions } from './options/types.ts';

export type {
  CollectorName,
  DelayPoint,
  HeapOptions,
  PlannedOptions,
  ResolvedOptions,
  StressOptions,
} from './options/types.ts';

/** The name of the environment variable that holds an option string. */
export const OPTIONS_VARIABLE = 'TOSPACE';

type Loose = Record<string, unknown>;

const KEYS = [...Object.keys(TABLE), 'stress'];
const STRESS_KEYS = [...Object.keys(STRESS_TABLE), 'delayMs'].map((key) => `stress.${key}`);
const DELAY_KEYS = DELAY_POINTS.map((point) => `stress.delayMs.${point}`);

function refused(key: string, value: unknown, rule: string): TospaceError {
  const shown = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return new TospaceError('ERR_OPTION', `option ${key}: ${shown} is not allowed`, {
    hint: `${key} must be ${rule}.`,
  });
}

/** The members of an object that are not undefined: an explicit undefined means the default, as in any options object. */
function members(object: unknown, key: string): [string, unknown][] {
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw refused(key, object, 'an object');
  return Object.entries(object).filter(([, value]) => value !== undefined);
}

function checked(key: string, { kind }: StressSpec, value: unknown): unknown {
  const usable = kind.check(value);
  if (usable === undefined) throw refused(key, value, kind.rule);
  return usable;
}

function checkStress(stress: unknown): StressOptions {
  const result: Loose = {};
  for (const [key, value] of members(stress, 'stress')) {
    const name = `stress.${key}`;
    if (key === 'delayMs') {
      const delays = members(value, name).map(([point, ms]): [string, unknown] => {
        const path = `${name}.${point}`;
        if (!DELAY_KEYS.includes(path)) throw unknownKey('', path, DELAY_KEYS);
        return [point, checked(path, DELAY, ms)];
      });
      result.delayMs = Object.freeze(Object.fromEntries(delays));
    } else if (Object.hasOwn(STRESS_TABLE, key)) {
      result[key] = checked(name, STRESS_TABLE[key as keyof typeof STRESS_TABLE], value);
    } else throw unknownKey('', name, STRESS_KEYS);
  }
  return Object.freeze(result);
}

/** Checks the values of an options object, each by itself. */
function checkEach(given: HeapOptions): Loose {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TospaceError('ERR_OPTION', `options must be an object, not ${inspect(given)}`, {
      hint:
        typeof given === 'string'
          ? 'Read an option string by parseOptions(text).'
          : "Call createHeap({ heap: '64MiB' }), or createHeap().",
    });
  }
  return Object.fromEntries(
    members(given, 'options').map(([key, value]) => {
      if (key === 'stress') return [key, checkStress(value)];
      if (!Object.hasOwn(TABLE, key)) throw unknownKey('', key, KEYS);
      return [key, checked(key, TABLE[key as keyof typeof TABLE], value)];
    }),
  );
}

/**
 * Fills in the defaults and checks every value. What is given in code goes before what the environment says, and that before the defaults;
 * members of `stress` go by themselves.
 * @param environment the option string of the environment, if there is one
 * @throws TospaceError ERR_OPTION that names the key, where it was given, and what it may be.
 */
export function resolveOptions(given: HeapOptions = {}, environment?: string): PlannedOptions {
  const inCode = checkEach(given);
  const outside = (environment === undefined ? {} : parseOptions(environment, OPTIONS_VARIABLE)) as Loose;
  const options: Loose = {};
  for (const [key, { byDefault, conflict }] of Object.entries(TABLE)) {
    const value = inCode[key] ?? outside[key];
    options[key] = value ?? (typeof byDefault === 'function' ? byDefault(options) : byDefault);
    const rule = conflict?.(options[key] as never, options as ResolvedOptions);
    if (rule === undefined) continue;
    throw inCode[key] === undefined && outside[key] !== undefined
      ? refusedText(OPTIONS_VARIABLE, key, printOption(key, value), rule)
      : refused(key, options[key], rule);
  }
  const [ours, theirs] = [inCode, outside].map(({ stress }) => (stress ?? {}) as StressOptions);
  const delayMs = { ...theirs!.delayMs, ...ours!.delayMs };
  options.stress = Object.freeze({
    ...theirs,
    ...ours,
    ...(Object.keys(delayMs).length === 0 ? {} : { delayMs: Object.freeze(delayMs) }),
  });
  return Object.freeze(options) as unknown as PlannedOptions;
}

/** What a heap has when nothing is asked for, on this machine. */
export const DEFAULT_OPTIONS: ResolvedOptions = resolveOptions() as ResolvedOptions;

/** Entries of the mark stack for a heap: one for every 64 bytes up to 4 M; deeper graphs overflow into dirty cards. */
export function markStackEntries({ heap, stress }: PlannedOptions): number {
  return stress.markStackEntries ?? Math.min(Math.max(heap / 64, 16 * KIB), 4 * MIB);
}
