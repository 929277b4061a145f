// Distributions one above the other: a histogram on a common logarithmic axis in each row, with its percentiles.

import type { Distribution } from '../harness/schema.ts';
import { logAxis } from './axis.ts';
import { type Attributes, type Child, el, type Markup } from './markup.ts';
import { round } from './plot.ts';
import { duration } from './text.ts';

export interface Ridge {
  readonly name: string;
  readonly style: number;
  readonly us: Distribution;
  readonly data: Attributes;
}

const WIDTH = 1000;
const LEFT = 330;
const RIGHT = 150;
const ROW = 44;
const TALL = 30;
const BUCKET = 1.05;

export function ridges(plotName: string, title: string, rows: readonly Ridge[]): Markup {
  const values = rows.flatMap(({ us }) => [
    ...(us.buckets ?? []).flatMap(([edge]) => [edge / BUCKET, edge]),
    ...[us.p50, us.p99, us.max].filter((value) => value !== null),
  ]);
  const axis = logAxis(title, values, duration);
  const x = (us: number): number => round(LEFT + axis.place(us) * (WIDTH - LEFT - RIGHT));
  const bottom = rows.length * ROW + 6;
  return el(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${bottom + 44}`, role: 'img', 'aria-label': title, 'data-plot': plotName },
    axis.ticks.map(({ value, text }) => [
      el('line', { class: 'grid', x1: x(value), x2: x(value), y1: 4, y2: bottom }),
      el('text', { class: 'tick', x: x(value), y: bottom + 17, 'text-anchor': 'middle' }, text),
    ]),
    el(
      'text',
      { class: 'title', x: (LEFT + WIDTH - RIGHT) / 2, y: bottom + 38, 'text-anchor': 'middle' },
      title,
    ),
    rows.map((row, i) => ridge(row, (i + 1) * ROW, x)),
  );
}

function ridge({ name, style, us, data }: Ridge, base: number, x: (us: number) => number): Child {
  const most = Math.max(1, ...(us.buckets ?? []).map(([, n]) => n));
  const marks = (
    [
      ['p50', us.p50],
      ['p99', us.p99],
      ['max', us.max],
    ] as const
  ).filter((mark): mark is readonly ['p50' | 'p99' | 'max', number] => mark[1] !== null);
  const words =
    us.count === 0 ? 'there was none' : marks.map(([mark, value]) => `${mark} ${duration(value)}`).join(', ');
  return el(
    'g',
    { class: `ridge s${style % 8}`, 'data-ridge': name, 'data-count': us.count, ...data },
    el('title', {}, `${name}: ${us.count}; ${words}`),
    el('text', { class: 'tick', x: LEFT - 10, y: base - 8, 'text-anchor': 'end' }, name),
    el('line', { class: 'axis', x1: LEFT, x2: WIDTH - RIGHT, y1: base, y2: base }),
    (us.buckets ?? []).map(([edge, n]) => {
      const from = x(edge / BUCKET);
      const height = round(Math.max(1.5, (n / most) * TALL));
      return el('rect', {
        class: 'bar',
        x: from,
        y: round(base - height),
        width: round(Math.max(1, x(edge) - from - 0.4)),
        height,
        'data-edge': edge,
        'data-n': n,
      });
    }),
    marks.map(([mark, value]) =>
      el('path', {
        class: `mark ${mark}`,
        d:
          mark === 'max'
            ? `M${x(value) - 3} ${base - 3}l6 6m0 -6l-6 6`
            : `M${x(value)} ${base - TALL}V${base + 5}`,
        'data-mark': mark,
        'data-us': value,
      }),
    ),
    el(
      'text',
      { class: 'tick', x: WIDTH - RIGHT + 10, y: base - 16 },
      us.count === 0
        ? 'none'
        : `n ${us.count.toLocaleString('en')}, p50 ${us.p50 === null ? '?' : duration(us.p50)}`,
    ),
    us.count === 0
      ? null
      : el(
          'text',
          { class: 'tick', x: WIDTH - RIGHT + 10, y: base - 2 },
          `max ${us.max === null ? '?' : duration(us.max)}`,
        ),
  );
}
