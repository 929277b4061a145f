// Phases of a cycle have the same colours wherever they are drawn.

export const PHASES: readonly string[] = [
  'prepare',
  'stop',
  'mark',
  'remark',
  'references',
  'plan',
  'flip',
  'compact',
  'resume',
  'close',
];

export function phaseClass(phase: string): string {
  return PHASES.includes(phase) ? `phase-${phase}` : 'phase-other';
}
