// The kinds of value that an option may have. Each knows what it allows, reads it from text and from code, and prints it so that it
// reads back as the same value.

import { GIB, KIB, MIB } from '../../heap/geometry.ts';

/** A size as text: `256MiB`. */
export type SizeText = `${number}${'B' | 'KiB' | 'MiB' | 'GiB'}`;

/** A size: a number of bytes, or text with a unit. */
export type Size = number | SizeText;

/** A duration as text: `500ms` or `2s`. */
export type DurationText = `${number}${'ms' | 's'}`;

/** A duration: a number of milliseconds, or text with a unit. */
export type Duration = number | DurationText;

export interface ValueKind {
  /** How a help text shows the value: `SIZE`, `N`, or the words that are allowed. */
  readonly notation: string;
  /** What is allowed, to complete the sentence "KEY must be …". */
  readonly rule: string;
  /** The value that text of an option string means; undefined when it means none. */
  parse(text: string): unknown;
  /** The value as the heap uses it (bytes, milliseconds), from one that was given in code; undefined when it is not allowed. */
  check(value: unknown): unknown;
  /** Text that parses as the same value. */
  print(value: unknown): string;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: KIB, MiB: MIB, GiB: GIB };
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000 };

/** Decimals that `printSize` writes at most. */
const SIZE_DECIMALS = 4;

/** The number that text is, NaN when it is none. */
function parseNumber(text: string): number {
  return /^-?\d+(\.\d+)?(e\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

/** Reads a number with a unit behind it. NaN when it is none, or has no unit. */
function parseUnit(text: string, units: Readonly<Record<string, number>>): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text) ?? [];
  return digits === undefined || !Object.hasOwn(units, unit!) ? Number.NaN : Number(digits) * units[unit!]!;
}

/** A size in the largest unit in which it is short and exact: `1.25GiB`, `60KiB`, `4097B`. */
export function printSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const text = String(bytes / SIZE_UNITS[unit]!);
    if (bytes >= SIZE_UNITS[unit]! && /^\d+(\.\d+)?$/.test(text)) {
      const decimals = text.split('.')[1] ?? '';
      if (decimals.length <= SIZE_DECIMALS) return `${text}${unit}`;
    }
  }
  return `${bytes}B`;
}

const within = (value: unknown, low: number, high: number, multiple: number): number | undefined =>
  typeof value === 'number' &&
  Number.isInteger(value) &&
  value >= low &&
  value <= high &&
  value % multiple === 0
    ? value
    : undefined;

/** Integers from `low` to `high`. */
export function integer(low: number, high: number): ValueKind {
  const check = (value: unknown): number | undefined => within(value, low, high, 1);
  return {
    notation: 'N',
    rule: `an integer from ${low} to ${high}`,
    parse: (text) => check(parseNumber(text)),
    check,
    print: String,
  };
}

/** Numbers from `low` to `high`. */
export function fraction(low: number, high: number): ValueKind {
  const check = (value: unknown): number | undefined =>
    typeof value === 'number' && value >= low && value <= high ? value : undefined;
  return {
    notation: 'X',
    rule: `a number from ${low} to ${high}`,
    parse: (text) => check(parseNumber(text)),
    check,
    print: String,
  };
}

/** Sizes from `low` to `high` bytes. A plain number is one of bytes. */
export function size(low: number, high: number, multiple = 1): ValueKind {
  const inRange = (value: unknown): number | undefined => within(value, low, high, multiple);
  return {
    notation: 'SIZE',
    rule:
      `a size from ${printSize(low)} to ${printSize(high)}${multiple > 1 ? ` and a multiple of ${printSize(multiple)}` : ''}: ` +
      'a number of bytes, or text with B, KiB, MiB or GiB',
    parse: (text) => inRange(/^\d+$/.test(text) ? Number(text) : parseUnit(text, SIZE_UNITS)),
    check: (value) => inRange(typeof value === 'string' ? parseUnit(value, SIZE_UNITS) : value),
    print: (value) => printSize(value as number),
  };
}

function printDuration(ms: number): string {
  return ms >= 1000 && ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** Whole milliseconds from `low` to `high`. A plain number is one of milliseconds. */
export function duration(low: number, high: number): ValueKind {
  const inRange = (value: unknown): number | undefined => within(value, low, high, 1);
  return {
    notation: 'TIME',
    rule: `a duration from ${printDuration(low)} to ${printDuration(high)}: a number of milliseconds, or text with ms or s`,
    parse: (text) => inRange(/^\d+$/.test(text) ? Number(text) : parseUnit(text, DURATION_UNITS)),
    check: (value) => inRange(typeof value === 'string' ? parseUnit(value, DURATION_UNITS) : value),
    print: (value) => printDuration(value as number),
  };
}

/** Milliseconds, parts of them too, that stress sleeps. */
export function delay(high: number): ValueKind {
  const check = (value: unknown): number | undefined =>
    typeof value === 'number' && value >= 0 && value <= high ? value : undefined;
  return {
    notation: 'MS',
    rule: `milliseconds from 0 to ${high}`,
    parse: (text) => check(/^\d+(\.\d+)?$/.test(text) ? Number(text) : parseUnit(text, DURATION_UNITS)),
    check,
    print: String,
  };
}

/** One of some words. */
export function word(...words: readonly string[]): ValueKind {
  const check = (value: unknown): unknown => (words.includes(value as string) ? value : undefined);
  return {
    notation: words.join('|'),
    rule: `one of ${words.join(', ')}`,
    parse: check,
    check,
    print: String,
  };
}

/** A word besides the values of another kind; `meaning` is what it stands for where that is known when options are read. */
export function orWord(name: string, kind: ValueKind, meaning: () => unknown = () => name): ValueKind {
  return {
    notation: `${name}|${kind.notation}`,
    rule: `'${name}' or ${kind.rule}`,
    parse: (text) => (text === name ? meaning() : kind.parse(text)),
    check: (value) => (value === name ? meaning() : kind.check(value)),
    print: (value) => (value === name ? name : kind.print(value)),
  };
}
