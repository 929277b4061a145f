// How figures grow with a heap's size, the part of it that is live, threads, servers, or a load.

import { findMetric } from '../harness/metrics.ts';
import type { BenchDocument, ScalingAxis, ScalingSeries } from '../harness/schema.ts';
import { linearAxis } from './axis.ts';
import { el, type Markup } from './markup.ts';
import { figure, frame, legend, plot, series } from './plot.ts';
import { bytes, interval, quantity, short } from './text.ts';

const METRICS = ['wallMs', 'cpuMs', 'flipP50Us', 'simpleP999Us', 'faults', 'peakRssBytes'];
const AXES: Readonly<Record<ScalingAxis, readonly [string, (x: number) => string]>> = {
  heapBytes: ['heap', bytes],
  timesMinimum: ['heap, in multiples of the minimum', (x) => `${short(x)} ×`],
  liveRatio: ['part of the heap that is live', (x) => `${short(x * 100)} %`],
  threads: ['threads', short],
  servers: ['fault servers', short],
  rate: ['operations due per second (1/s)', short],
};

export function scaling(document: BenchDocument): Markup {
  const groups = new Map<string, ScalingSeries[]>();
  for (const one of document.analysis.scaling) {
    const key = JSON.stringify([one.workload, one.axis]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return el(
    'section',
    { id: 'scaling' },
    el('h2', {}, 'Scaling'),
    groups.size === 0 ? el('p', { class: 'missing' }, 'This suite has no series: nothing was varied.') : null,
    [...groups.values()].map((group) => {
      const { workload, axis } = group[0]!;
      const [title, text] = AXES[axis];
      return [
        el('h3', {}, `${workload} by ${title}`),
        legend(group.map(({ name, collector }) => (name === collector ? name : `${name} (${collector})`))),
        el(
          'div',
          { class: 'plots' },
          METRICS.map((metric) => metricPlot(group, metric, title, text)),
        ),
      ];
    }),
  );
}

function metricPlot(
  group: readonly ScalingSeries[],
  name: string,
  xTitle: string,
  xText: (x: number) => string,
): Markup | null {
  const { title, unit } = findMetric(name)!;
  const lines = group.map(({ name: id, points }) => ({
    id,
    points: points.flatMap(({ x, configuration, metrics }) => {
      const value = metrics[name];
      return value == null ? [] : [{ x, configuration, value }];
    }),
  }));
  const all = lines.flatMap(({ points }) => points);
  if (all.length === 0) return null;
  const at = frame(
    linearAxis(
      xTitle,
      all.map(({ x }) => x),
      xText,
      { base: xText === bytes ? 2 : 10 },
    ),
    linearAxis(
      title,
      all.map(({ value }) => value.high ?? value.median),
      (y) => quantity(y, unit),
      { base: unit === 'bytes' ? 2 : 10 },
    ),
  );
  return figure(
    title,
    plot(
      `scaling-${name}`,
      `${title} by ${xTitle}`,
      at,
      lines.map(({ id, points }, index) =>
        series(
          at,
          index,
          id,
          points.map(({ x, configuration, value }) => ({
            x,
            y: value.median,
            low: value.low,
            high: value.high,
            text: `${configuration}: ${quantity(value.median, unit)} ${interval(value, unit)}`,
            data: {
              'data-x': x,
              'data-configuration': configuration,
              'data-median': value.median,
              'data-low': value.low,
              'data-high': value.high,
            },
          })),
        ),
      ),
    ),
  );
}
