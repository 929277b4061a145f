// What the kit reports, as data and as text.

import type { Mistake } from './mistakes.ts';

/** The checks, in the order in which they run. A later one means something only when those before it found nothing. */
export const CHECKS = ['size', 'hooks', 'barrier', 'map', 'roots', 'stale', 'safepoint', 'history'] as const;
export type CheckName = (typeof CHECKS)[number];

/** A mistake that was found, and where. */
export interface Finding {
  readonly mistake: Mistake;
  /** One sentence: what was seen. */
  readonly what: string;
  /** What to do about it. */
  readonly cure: string;
  readonly type?: string;
  /** The name of a slot, or the offset of a word. */
  readonly field?: string;
  readonly operation?: string;
  /** The set of roots, and the place in it. */
  readonly root?: string;
  /** Of what was thrown: where in the runtime's own code, the innermost call first. */
  readonly at?: string;
  /** `conformance(embedder, { seed })` repeats it. */
  readonly seed: number;
}

export interface CheckReport {
  readonly check: CheckName;
  /** `skipped`: what it does would mean nothing, because a check before it failed. */
  readonly status: 'passed' | 'failed' | 'skipped';
  readonly findings: readonly Finding[];
  /** What was tried, in words. */
  readonly covered: string;
  /** Milliseconds; 0 where it was skipped. */
  readonly durationMs: number;
}

export interface ConformanceReport {
  readonly embedder: string;
  readonly passed: boolean;
  readonly seed: number;
  readonly checks: readonly CheckReport[];
  /** Names of all mistakes that were found, each once. */
  readonly mistakes: readonly Mistake[];
}

const INDENT = ' '.repeat(11);

/** Where the mistake is, as a line of text. */
function describePlace({ type, field, operation, root }: Finding): string {
  const places = [
    operation === undefined ? [] : [`operation ${operation}`],
    type === undefined ? [] : [`type ${type}`],
    field === undefined ? [] : [`field ${field}`],
    root === undefined ? [] : [`root ${root}`],
  ].flat();
  return places.join(', ') || 'no single place';
}

/** A report for people. */
export function describeReport({ embedder, passed, seed, checks, mistakes }: ConformanceReport): string {
  const lines = checks.flatMap(({ check, status, findings, covered, durationMs }) => [
    `${status === 'passed' ? 'ok     ' : status === 'failed' ? 'FAILED ' : 'skipped'} ${check.padEnd(10)} ${covered}` +
      (status === 'skipped' ? '' : ` (${(durationMs / 1000).toFixed(1)} s)`),
    ...findings.flatMap((finding) => [
      `${INDENT}${finding.mistake}: ${describePlace(finding)} (seed ${finding.seed})`,
      `${INDENT}  ${finding.what}`,
      ...(finding.at === undefined ? [] : [`${INDENT}  at ${finding.at}`]),
      `${INDENT}  Cure: ${finding.cure}`,
    ]),
  ]);
  const verdict = passed ? 'conforms' : `does not conform: ${mistakes.join(', ')}`;
  return [`Conformance of ${embedder}, seed ${seed}`, ...lines, `${embedder} ${verdict}`, ''].join('\n');
}
