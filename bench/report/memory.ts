// Memory over the time of one process, with the phases of its collector behind.

import type { BenchDocument, TimelineSample } from '../harness/schema.ts';
import { linearAxis } from './axis.ts';
import { type Child, el, type Markup } from './markup.ts';
import { phaseClass, PHASES } from './phases.ts';
import { figure, type Frame, frame, legend, plot, round, series, swatches } from './plot.ts';
import { type Representative, representatives } from './representative.ts';
import { bytes, count, duration } from './text.ts';

const LINES = [
  ['usedBytes', 'heap in use'],
  ['softLimitBytes', 'soft limit'],
  ['rssBytes', 'resident (RSS)'],
  ['memfdBytes', 'memory files of the heap'],
] as const;

export function memory(document: BenchDocument): Markup {
  const all = representatives(document);
  const shown = all.filter(({ facts }) => (facts.timeline?.samples.length ?? 0) > 1);
  const without = all.filter((one) => !shown.includes(one));
  return el(
    'section',
    { id: 'memory' },
    el('h2', {}, 'Memory over time'),
    el(
      'p',
      {},
      'One process of each configuration, the one with the median wall time. Shaded: phases of the collector’s cycles as its reports tell them. ' +
        'RSS counts every page that the process has mapped and touched, a page in several windows several times; the memory files are what an own heap really takes.',
    ),
    legend(LINES.map(([, name]) => name)),
    swatches(PHASES.map((phase) => [phaseClass(phase), phase])),
    el('div', { class: 'plots' }, shown.map(memoryPlot)),
    without.map(({ configuration }) =>
      el('p', { class: 'missing' }, `${configuration.id}: no samples of its memory were taken.`),
    ),
  );
}

function memoryPlot({ configuration, measurement, facts }: Representative): Child {
  const samples = facts.timeline!.samples;
  const values = samples.flatMap((sample) => LINES.map(([field]) => sample[field] ?? 0));
  const at = frame(
    linearAxis('time since the workload began', [facts.wallMs], (ms) => duration(ms * 1000), {
      max: facts.wallMs,
    }),
    linearAxis('memory', values, bytes, { base: 2 }),
  );
  const missing = LINES.filter(([field]) => samples.every((sample) => sample[field] === null));
  return figure(
    configuration.id,
    plot(
      'memory',
      `Memory of ${measurement.id} over time`,
      at,
      shades(facts, at),
      LINES.map(([field, name], index) => line(at, index, field, name, samples)),
    ),
    [
      `Process ${measurement.id}; ${count(samples.length, 'sample')}, ${duration(facts.timeline!.intervalMs * 1000)} apart. `,
      facts.heap === null ? 'Phases are not known. ' : `${count(facts.heap.cycles.length, 'cycle')}. `,
      missing.length === 0 ? null : `Not known here: ${missing.map(([, name]) => name).join(', ')}.`,
    ],
  );
}

function shades(facts: Representative['facts'], at: Frame): Child {
  const [top, bottom] = [at.py(at.y.max), at.py(0)];
  return facts.heap?.cycles.map(({ cycle, startMs, phasesMs }) => {
    let from = startMs;
    return Object.entries(phasesMs).map(([phase, ms]) => {
      const start = from;
      from += ms;
      const [left, right] = [start, from].map((value) => at.px(Math.min(Math.max(0, value), facts.wallMs)));
      return el(
        'rect',
        {
          class: `shade ${phaseClass(phase)}`,
          x: left,
          y: top,
          width: round(Math.max(0.3, right! - left!)),
          height: round(bottom - top),
          'data-cycle': cycle,
          'data-phase': phase,
          'data-ms': ms,
        },
        el('title', {}, `cycle ${cycle}, ${phase}: ${duration(ms * 1000)}`),
      );
    });
  });
}

/** A line with a gap wherever a sample does not know the value. */
function line(
  at: Frame,
  index: number,
  field: (typeof LINES)[number][0],
  name: string,
  samples: readonly TimelineSample[],
): Child {
  const known = samples.filter((sample) => sample[field] !== null);
  if (known.length === 0) return null;
  let pen = 'M';
  const d = samples
    .map((sample) => {
      const value = sample[field];
      const step = value === null ? '' : `${pen}${at.px(sample.ms)} ${at.py(value)}`;
      pen = value === null ? 'M' : 'L';
      return step;
    })
    .join('');
  const last = known.at(-1)!;
  return [
    el(
      'g',
      {
        class: `series s${index}`,
        'data-field': field,
        'data-ms': known.map(({ ms }) => ms).join(' '),
        'data-bytes': known.map((sample) => sample[field]).join(' '),
      },
      el('title', {}, name),
      el('path', { class: 'line', d }),
    ),
    // One marker: it tells the lines apart without their colours.
    series(at, index, field, [
      {
        x: last.ms,
        y: last[field]!,
        text: `${name}: ${bytes(last[field]!)} at the end`,
        data: { 'data-ms': last.ms, 'data-bytes': last[field] },
      },
    ]),
  ];
}
