// What an operation took: percentiles, simple and metered.

import type { BenchDocument, LatencyAnalysis } from '../harness/schema.ts';
import { logAxis, namedAxis } from './axis.ts';
import { type Child, el, type Markup } from './markup.ts';
import { figure, frame, legend, plot, series } from './plot.ts';
import { byWorkload, duration, interval, label } from './text.ts';

const NAMES: Readonly<Record<string, string>> = {
  p50: '50',
  p90: '90',
  p99: '99',
  p999: '99.9',
  p9999: '99.99',
  max: 'max',
};

/** Pixels between the points of two configurations. */
const ASIDE = 4;

export function latencies(document: BenchDocument): Markup {
  return el(
    'section',
    { id: 'latency' },
    el('h2', {}, 'Latency of operations'),
    el(
      'p',
      {},
      'Each point is the median over processes of that percentile; the bar is its interval of 95 %. Simple: from begin to end. Metered: as if operations ' +
        'arrived evenly and queued, so that a pause delays all that come in it. With few operations the last percentiles are the maximum.',
    ),
    [...byWorkload(document)].map(([workload, configurations]) => {
      const shown = configurations.flatMap((configuration) => {
        const { latency } = document.analysis.configurations.find(
          (one) => one.configuration === configuration.id,
        )!;
        return latency.simple === null ? [] : [{ configuration, latency }];
      });
      if (shown.length === 0)
        return el(
          'p',
          { class: 'missing' },
          `${workload}: no operations were logged, so there is no latency.`,
        );
      const values = shown.flatMap(({ latency }) => [
        ...estimates(latency.simple),
        ...estimates(latency.metered),
      ]);
      const draw = (kind: 'simple' | 'metered'): Child => {
        const at = frame(
          namedAxis('percentile of operations (%)', Object.values(NAMES)),
          logAxis('latency (logarithmic)', values, duration),
        );
        return figure(
          `${workload}: ${kind} latency`,
          plot(
            `latency-${kind}`,
            `${kind} latency of ${workload} by percentile`,
            at,
            shown.map(({ configuration, latency: { [kind]: one } }, index) => {
              // Side by side, so that no interval hides another's.
              const aside = (index - (shown.length - 1) / 2) * ASIDE;
              const beside = { ...at, px: (value: number) => at.px(value) + aside };
              return one === null ? null : series(beside, index, configuration.id, points(one));
            }),
          ),
        );
      };
      return [
        el('h3', {}, workload),
        legend(shown.map(({ configuration }) => label(configuration))),
        el('div', { class: 'plots' }, draw('simple'), draw('metered')),
      ];
    }),
  );
}

function estimates(latency: LatencyAnalysis | null): number[] {
  return (latency?.percentiles ?? []).flatMap(({ us }) =>
    us === null ? [] : [us.median, us.low ?? us.median, us.high ?? us.median],
  );
}

function points({ percentiles }: LatencyAnalysis): Parameters<typeof series>[3] {
  return percentiles.flatMap(({ name, us }) => {
    if (us === null) return [];
    const { median, low, high } = us;
    return [
      {
        x: Object.keys(NAMES).indexOf(name),
        y: median,
        low,
        high,
        text: `${name}: ${duration(median)} ${interval(us, 'µs')}`,
        data: { 'data-percentile': name, 'data-us': median, 'data-low': low, 'data-high': high },
      },
    ];
  });
}
