// What a check is.

import { isOverrun, isStale } from '../../heap/misuse.ts';
import type { Mistake } from '../mistakes.ts';
import type { Finding } from '../report.ts';
import type { AnyEmbedder } from '../rig.ts';

/** Something found, before it is given its cure and its seed. */
export interface Symptom extends Omit<Finding, 'cure' | 'seed' | 'mistake'> {
  readonly mistake: Mistake;
}

export interface CheckContext {
  readonly seed: number;
  /** For how long to look, as a factor of the usual. */
  readonly effort: number;
  /** Milliseconds after which the parent gives the check up. */
  readonly timeoutMs: number;
  /** Called before the runtime's code runs where it could bring the process down: the last call says where it did. */
  readonly at: (place: Omit<Symptom, 'mistake' | 'what'>) => void;
}

export interface Outcome {
  readonly findings: readonly Symptom[];
  /** What was tried, in words. */
  readonly covered: string;
}

export interface Check {
  /** The mistake that is to blame when the process does not survive the check: those before it found nothing. */
  readonly blames: Mistake;
  run(embedder: AnyEmbedder, context: CheckContext): Promise<Outcome>;
}

/** Places that a finding names before it only counts them. */
const NAMED_MAX = 4;

/** Findings, those of one type, operation or set of roots in one: the first says what was seen, the others where else. */
export class Symptoms {
  readonly #found = new Map<string, { readonly first: Symptom; readonly places: Set<string> }>();

  /** @param symptom `field`, or what `root` has in brackets, is where; the rest is what belongs together. */
  add(symptom: Symptom): void {
    const { mistake, type, field, operation, root } = symptom;
    const key = JSON.stringify([mistake, type, operation, root?.replace(/\[.*/, '')]);
    const place = field ?? root ?? '';
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { first: symptom, places: new Set([place]) });
    else known.places.add(place);
  }

  get list(): Symptom[] {
    return [...this.#found.values()].map(({ first, places }) => {
      const text = [...places].slice(0, NAMED_MAX).join(', ');
      const where = places.size > NAMED_MAX ? `${text} and ${places.size - NAMED_MAX} more` : text;
      if (first.field !== undefined) return { ...first, field: where };
      return first.root === undefined ? first : { ...first, root: where };
    });
  }
}

export const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

/** What was thrown, in a sentence. */
export function thrown(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What a verifying heap says of an error by itself; `otherwise` of all others. */
export function blame<Other>(error: unknown, otherwise: Other): Mistake | Other {
  return isStale(error) ? 'stale-reference' : isOverrun(error) ? 'lying-size' : otherwise;
}

/** The folders of the package that hold the heap and the kit, bundled or not. */
const DIST = import.meta.url.replace(/(?:lib|src\/conformance\/checks)\/[^/]*$/, '');
const OWN = [`${DIST}lib/`, `${DIST}src/`, 'node:'];
/** Calls that a report names: the helper that threw, and who called it. */
const CALLS = 3;

/** Where an error was thrown, in code that is neither the heap's nor the kit's nor Node's: the innermost calls first. */
export function whereThrown(error: unknown): { at?: string } {
  const calls = ((error as Error | undefined)?.stack ?? '')
    .split('\n')
    .flatMap((line) => /^\s+at (.*)$/.exec(line)?.[1] ?? [])
    .filter((call) => /\d+:\d+\)?$/.test(call) && !OWN.some((folder) => call.includes(folder)))
    .slice(0, CALLS)
    .map((call) => call.replace('file://', ''));
  return calls.length === 0 ? {} : { at: calls.join(', called at ') };
}

/** "3 types", "1 type". */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
