// Tables, and cells that say in words what is not there.

import type { Estimate } from '../harness/schema.ts';
import { type Child, el, type Markup } from './markup.ts';
import { bytes, duration, interval, NOT_MEASURED, quantity, type Unit } from './text.ts';

export function table(head: readonly string[], rows: Child): Markup {
  return el(
    'div',
    { class: 'scroll' },
    el(
      'table',
      {},
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          head.map((text) => el('th', { scope: 'col' }, text)),
        ),
      ),
      el('tbody', {}, rows),
    ),
  );
}

function missing(): Markup {
  return el('td', { class: 'missing' }, NOT_MEASURED);
}

export const cells: {
  us(value: number | null): Markup;
  bytes(value: number | null): Markup;
  number(value: number | null, text?: string): Markup;
  estimate(value: Estimate | null | undefined, unit: Unit, data?: string): Markup;
} = {
  us: (value) => (value === null ? missing() : el('td', { 'data-us': value }, duration(value))),
  bytes: (value) => (value === null ? missing() : el('td', { 'data-bytes': value }, bytes(value))),
  number: (value, text) =>
    value === null ? missing() : el('td', { 'data-value': value }, text ?? value.toLocaleString('en')),
  estimate: (value, unit, data) =>
    value == null
      ? missing()
      : el(
          'td',
          {
            'data-metric': data,
            'data-median': value.median,
            'data-low': value.low,
            'data-high': value.high,
          },
          quantity(value.median, unit),
          ' ',
          el('small', {}, interval(value, unit)),
        ),
};
