// Minimum mutator utilisation: in the worst window of each size, the part of the time that the program ran.

import type { BenchDocument, MmuAnalysis } from '../harness/schema.ts';
import { linearAxis, logAxis } from './axis.ts';
import { el, type Markup } from './markup.ts';
import { figure, frame, legend, plot, series } from './plot.ts';
import { byWorkload, duration, interval, label } from './text.ts';

const SOURCES: Readonly<Record<MmuAnalysis['from'], string>> = {
  trace: 'the trace of every stop',
  reports: 'the collector’s reports',
  runtime: 'the runtime’s own log',
};

export function utilisation(document: BenchDocument): Markup {
  return el(
    'section',
    { id: 'mmu' },
    el('h2', {}, 'Minimum mutator utilisation'),
    el(
      'p',
      {},
      'In the worst window of each length, the part of the time that the program was not held up by its collector; the worst thread counts. Higher is better. ' +
        'Time that the machine gave to others is in it where it fell into a pause.',
    ),
    el(
      'div',
      { class: 'plots' },
      [...byWorkload(document)].map(([workload, configurations]) => {
        const all = configurations.map((configuration, style) => ({
          configuration,
          style,
          mmu: document.analysis.configurations.find((one) => one.configuration === configuration.id)!.mmu,
        }));
        const shown = all.flatMap(({ configuration, mmu }) => (mmu === null ? [] : [{ configuration, mmu }]));
        const unknown = all
          .filter(({ mmu }) => mmu === null)
          .map(({ configuration }) => label(configuration));
        const windows = shown.flatMap(({ mmu }) => mmu.windows.map(({ windowMs }) => windowMs));
        const at = frame(
          logAxis('length of the window (logarithmic)', windows, (ms) => duration(ms * 1000)),
          linearAxis('utilisation (%)', [], (part) => `${Math.round(part * 100)} %`, { max: 1 }),
        );
        return el(
          'div',
          {},
          shown.length === 0
            ? null
            : figure(
                `${workload}: minimum mutator utilisation`,
                [
                  legend(shown.map(({ configuration }) => label(configuration))),
                  plot(
                    'mmu',
                    `Minimum mutator utilisation of ${workload} by window`,
                    at,
                    shown.map(({ configuration, mmu }, index) =>
                      series(
                        at,
                        index,
                        configuration.id,
                        mmu.windows.map(({ windowMs, utilisation: value }) => ({
                          x: windowMs,
                          y: value.median,
                          low: value.low,
                          high: value.high,
                          text: `${windowMs} ms: ${(value.median * 100).toFixed(1)} % ${interval(value, 'part')}`,
                          data: {
                            'data-window-ms': windowMs,
                            'data-utilisation': value.median,
                            'data-low': value.low,
                            'data-high': value.high,
                          },
                        })),
                      ),
                    ),
                  ),
                ],
                el(
                  'span',
                  {},
                  shown.map(({ configuration, mmu }, i) => [
                    i === 0 ? '' : '; ',
                    `${label(configuration)}: ${mmu.includes.join(', ')}, from ${SOURCES[mmu.from]}`,
                  ]),
                  '.',
                ),
              ),
          unknown.length === 0
            ? null
            : el(
                'p',
                { class: 'missing' },
                `${workload}: not known of ${unknown.join('; ')}, whose pauses nothing tells.`,
              ),
        );
      }),
    ),
  );
}
