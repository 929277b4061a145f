// The option string: `collector=concurrent,heap=256MiB,verify=phase`. Keys are those of the options object, members of `stress` by their
// path: `stress.delayMs.flip=2`.

import { TospaceError } from '../../errors.ts';
import { unknownKey } from '../../known-keys.ts';
import type { DelayPoint, HeapOptions, PlannedOptions, ResolvedOptions } from './types.ts';
import { DELAY, DELAY_POINTS, type OptionSpec, STRESS_TABLE, TABLE } from './table.ts';

/** An option as help texts and documents show it. */
export interface OptionDescription {
  /** The key in an option string; in code, dots are members. */
  readonly key: string;
  /** What it is for: sentences in Markdown. */
  readonly doc: string;
  /** How a value is written: `SIZE`, `N`, or the words that are allowed. */
  readonly notation: string;
  /** What it must be, to complete "KEY must be …". */
  readonly rule: string;
  /** Its default, in Markdown. */
  readonly byDefault: string;
  /** The value that text means; undefined when it means none. */
  parse(text: string): unknown;
}

function describe(key: string, { doc, kind, byDefault, defaultDoc }: OptionSpec): OptionDescription {
  const { notation, rule } = kind;
  return Object.freeze({
    key,
    doc,
    notation,
    rule,
    byDefault: defaultDoc ?? (byDefault === undefined ? 'off' : `\`${kind.print(byDefault)}\``),
    parse: (text: string) => kind.parse(text),
  });
}

/** Every key of an option string, in order. */
export const HEAP_OPTIONS: readonly OptionDescription[] = Object.freeze([
  ...Object.entries(TABLE).map(([key, spec]) => describe(key, spec)),
  ...Object.entries(STRESS_TABLE).map(([key, spec]) =>
    describe(`stress.${key}`, { ...spec, byDefault: undefined }),
  ),
  ...DELAY_POINTS.map((point) =>
    describe(`stress.delayMs.${point}`, {
      ...DELAY,
      doc: DELAY.doc.replace('the point', point),
      byDefault: undefined,
    }),
  ),
]);

const BY_KEY = new Map(HEAP_OPTIONS.map((option) => [option.key, option]));

export function refusedText(source: string, key: string, text: string, rule: string): TospaceError {
  return new TospaceError('ERR_OPTION', `${source}: ${key}=${text} is not allowed`, {
    hint: `${key} must be ${rule}.`,
  });
}

function put(object: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path as [string, ...string[]];
  if (rest.length === 0) object[key] = value;
  else {
    const inner = (object[key] ?? {}) as Record<string, unknown>;
    put(inner, rest, value);
    object[key] = inner;
  }
}

/**
 * Reads an option string: `KEY=VALUE` joined by commas. Nothing is read twice, and spaces around keys and values do not count.
 * @param source where the string comes from, for the message of an error
 * @throws TospaceError ERR_OPTION that names the source, the key, and what the value may be.
 */
export function parseOptions(text: string, source = 'option string'): HeapOptions {
  if (typeof text !== 'string') {
    throw new TospaceError('ERR_OPTION', `${source}: ${String(text)} is no text`, {
      hint: "Call parseOptions(process.env.TOSPACE ?? '').",
    });
  }
  const options: Record<string, unknown> = {};
  const seen = new Set<string>();
  if (text.trim() === '') return options;
  for (const part of text.split(',')) {
    const [, key, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/s.exec(part) ?? [];
    if (key === undefined) {
      throw new TospaceError('ERR_OPTION', `${source}: "${part.trim()}" is no KEY=VALUE`, {
        hint: 'Write options as in collector=concurrent,heap=256MiB,verify=phase.',
      });
    }
    const option = BY_KEY.get(key);
    if (option === undefined) throw unknownKey(source, key, [...BY_KEY.keys()]);
    if (seen.has(key)) {
      throw new TospaceError('ERR_OPTION', `${source}: ${key} is there twice`, {
        hint: 'Give every option once.',
      });
    }
    seen.add(key);
    const parsed = option.parse(value!);
    if (parsed === undefined) throw refusedText(source, key, value!, option.rule);
    put(options, key.split('.'), parsed);
  }
  return options as HeapOptions;
}

/** A value of a key of the options object, as text. */
export function printOption(key: string, value: unknown): string {
  return TABLE[key as keyof typeof TABLE].kind.print(value);
}

/**
 * All options in one line, as a string that {@link parseOptions} reads as the same options: what reports should echo.
 * @example formatOptions(heap.options) // collector=concurrent,heap=256MiB,minHeap=32MiB,…
 */
export function formatOptions(options: ResolvedOptions | PlannedOptions): string {
  const { stress } = options;
  const parts = Object.keys(TABLE).map(
    (key) => `${key}=${printOption(key, options[key as keyof typeof TABLE])}`,
  );
  for (const [key, { kind }] of Object.entries(STRESS_TABLE)) {
    const value = stress[key as keyof typeof STRESS_TABLE];
    if (value !== undefined) parts.push(`stress.${key}=${kind.print(value)}`);
  }
  for (const [point, ms] of Object.entries(stress.delayMs ?? {}))
    parts.push(`stress.delayMs.${point as DelayPoint}=${DELAY.kind.print(ms)}`);
  return parts.join(',');
}
