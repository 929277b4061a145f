// Plots in SVG. Everything drawn carries the document's own values in data attributes.

import type { Axis } from './axis.ts';
import { type Attributes, type Child, el, type Markup } from './markup.ts';

const MARGIN = { left: 84, right: 34, top: 10, bottom: 46 } as const;

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly x: Axis;
  readonly y: Axis;
  /** Places in the drawing. */
  px(value: number): number;
  py(value: number): number;
}

export function frame(x: Axis, y: Axis, width: number = 560, height: number = 300): Frame {
  const [wide, high] = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
  return {
    width,
    height,
    x,
    y,
    px: (value) => round(MARGIN.left + x.place(value) * wide),
    py: (value) => round(MARGIN.top + (1 - y.place(value)) * high),
  };
}

/** A hundredth of a pixel is enough. */
export function round(place: number): number {
  return Math.round(place * 100) / 100;
}

/** A plot with its axes; `name` is what a screen reader says and tests look for. */
export function plot(name: string, label: string, at: Frame, ...children: Child[]): Markup {
  const { width, height, x, y } = at;
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
  const grid = [
    ...x.ticks.map(({ value, text }) => [
      el('line', { class: 'grid', x1: at.px(value), x2: at.px(value), y1: top, y2: bottom }),
      el('text', { class: 'tick', x: at.px(value), y: bottom + 17, 'text-anchor': 'middle' }, text),
    ]),
    ...y.ticks.map(({ value, text }) => [
      el('line', { class: 'grid', x1: left, x2: right, y1: at.py(value), y2: at.py(value) }),
      el('text', { class: 'tick', x: left - 7, y: at.py(value) + 4, 'text-anchor': 'end' }, text),
    ]),
  ];
  const middle = (top + bottom) / 2;
  return el(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, 'data-plot': name },
    grid,
    el('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }),
    el('line', { class: 'axis', x1: left, x2: left, y1: top, y2: bottom }),
    el('text', { class: 'title', x: (left + right) / 2, y: height - 9, 'text-anchor': 'middle' }, x.title),
    el(
      'text',
      { class: 'title', x: 14, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 14 ${middle})` },
      y.title,
    ),
    children,
  );
}

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly low?: number | null;
  readonly high?: number | null;
  readonly text: string;
  readonly data: Attributes;
}

/** Series differ by colour, by marker and by dashes: colour alone would not do. */
export const SERIES = 8;

export function series(at: Frame, index: number, id: string, points: readonly Point[]): Markup {
  const style = index % SERIES;
  const d = points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${at.px(x)} ${at.py(y)}`).join('');
  return el(
    'g',
    { class: `series s${style}`, 'data-series': id },
    el('path', { class: 'line', d }),
    points.map((point) => {
      const { x, y, low, high, text, data } = point;
      return el(
        'g',
        { 'data-point': '', ...data },
        el('title', {}, text),
        low == null || high == null
          ? null
          : el('line', { class: 'whisker', x1: at.px(x), x2: at.px(x), y1: at.py(low), y2: at.py(high) }),
        marker(index, at.px(x), at.py(y)),
      );
    }),
  );
}

const MARKERS: readonly ((x: number, y: number) => string)[] = [
  (x, y) => `M${x - 3.5} ${y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z`,
  (x, y) => `M${x - 3.2} ${y - 3.2}h6.4v6.4h-6.4z`,
  (x, y) => `M${x} ${y - 4.4}l4.2 7.4h-8.4z`,
  (x, y) => `M${x} ${y - 4.6}l4.6 4.6l-4.6 4.6l-4.6 -4.6z`,
  (x, y) => `M${x} ${y + 4.4}l4.2 -7.4h-8.4z`,
];

/** Colours come again after eight, markers after five: both together after forty. */
function marker(index: number, x: number, y: number): Markup {
  return el('path', { class: 'marker', d: MARKERS[index % MARKERS.length]!(x, y) });
}

/** What the series are called, in the order of their styles. */
export function legend(names: readonly string[]): Markup {
  return el(
    'ul',
    { class: 'legend' },
    names.map((name, i) => {
      const style = i % SERIES;
      return el(
        'li',
        {},
        el(
          'svg',
          { viewBox: '0 0 34 14', class: 'key', 'aria-hidden': 'true' },
          el(
            'g',
            { class: `series s${style}` },
            el('path', { class: 'line', d: 'M1 7H33' }),
            marker(i, 17, 7),
          ),
        ),
        name,
      );
    }),
  );
}

/** Boxes of colour with names. */
export function swatches(entries: readonly (readonly [string, string])[]): Markup {
  return el(
    'ul',
    { class: 'legend' },
    entries.map(([style, name]) =>
      el(
        'li',
        {},
        el(
          'svg',
          { viewBox: '0 0 14 14', class: 'swatch', 'aria-hidden': 'true' },
          el('rect', { class: style, x: 1, y: 1, width: 12, height: 12 }),
        ),
        name,
      ),
    ),
  );
}

export function figure(title: string, body: Child, note?: Child): Markup {
  return el(
    'figure',
    {},
    el('figcaption', {}, title),
    body,
    note === undefined || note === null ? null : el('p', { class: 'note' }, note),
  );
}
