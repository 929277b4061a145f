// One cycle, event by event: a lane for each thread, and below, which page was built when and by whom.

import type { BenchDocument, CycleTimeline, TimelineEvent } from '../harness/schema.ts';
import { linearAxis } from './axis.ts';
import { type Child, el, type Markup } from './markup.ts';
import { pageStrips } from './pages.ts';
import { phaseClass } from './phases.ts';
import { figure, round, swatches } from './plot.ts';
import { type Representative, representatives } from './representative.ts';
import { count, duration, label } from './text.ts';

const WIDTH = 1100;
const LEFT = 150;
const RIGHT = 30;
const ROW = 20;
/** Width of a character of a label, about. */
const LETTER = 6.4;

export function cycles(document: BenchDocument): Markup {
  const all = representatives(document).filter(
    ({ configuration: { form } }) => form === 'heap' || form === 'guest',
  );
  const shown = all.filter(({ facts }) => facts.timeline?.cycle != null);
  const without = all.filter((one) => !shown.includes(one));
  return el(
    'section',
    { id: 'cycle' },
    el('h2', {}, 'One cycle'),
    el(
      'p',
      {},
      'The middle cycle of one process of each configuration, from the trace of the heap: who did what at which time. An event shorter than a pixel is drawn a ' +
        'pixel wide. Point at anything for its figures.',
    ),
    shown.length === 0
      ? null
      : swatches([
          ...['mark', 'remark', 'references', 'plan', 'flip', 'compact', 'close'].map(
            (phase): [string, string] => [phaseClass(phase), phase],
          ),
          ['lane-pause', 'pause, by the collector'],
          ['lane-step', 'step of a pause'],
          ['lane-stopped', 'mutator stopped'],
          ['lane-stall', 'allocation waits'],
          ['lane-sampled-fault', 'mutator waits for a page (sampled)'],
          ['lane-fault', 'server serves a fault'],
          ['lane-pages', 'collector builds pages'],
        ]),
    shown.map((one, i) => oneCycle(one, one.facts.timeline!.cycle!, i === 0)),
    without.map(({ configuration, facts }) =>
      el(
        'p',
        { class: 'missing' },
        `${configuration.id}: ${facts.heap?.statistics.cycles === 0 ? 'it had no cycle' : 'no cycle was recorded'}.`,
      ),
    ),
  );
}

function oneCycle(
  { configuration, measurement }: Representative,
  cycle: CycleTimeline,
  open: boolean,
): Markup {
  const title = `${configuration.workload}, ${label(configuration)}: cycle ${cycle.cycle}, ${duration((cycle.endMs - cycle.startMs) * 1000)}`;
  const cut = cycle.events.length < cycle.eventCount;
  return el(
    'details',
    { open, 'data-cycle-of': measurement.id },
    el('summary', {}, title),
    figure(
      'Threads',
      lanes(cycle),
      cut
        ? `There were ${count(cycle.eventCount, 'event')}; the document, and so the picture, has the first ${cycle.events.length.toLocaleString('en')}.`
        : `${count(cycle.eventCount, 'event')}, all that there were.`,
    ),
    pageStrips(cycle),
  );
}

/** Rows within a lane, from the top. What is inside of something else is below it. */
const ROWS: Readonly<Record<string, readonly string[]>> = {
  collector: ['phase', 'pause', 'step', 'pages'],
  server: ['fault'],
  mutator: ['stopped', 'stall', 'sampled-fault'],
};

const byNumber = new Intl.Collator('en', { numeric: true });

function lanes(cycle: CycleTimeline): Markup {
  const family = ({ kind }: TimelineEvent): string => kind.split(':')[0]!;
  const order = ['mutator', 'collector', 'server'];
  const threads = [...cycle.threads].sort(
    (a, b) => order.indexOf(a.role) - order.indexOf(b.role) || byNumber.compare(a.id, b.id),
  );
  const layout = threads.map((thread) => {
    const events = cycle.events
      .map((event, index) => ({ event, index }))
      .filter(({ event }) => event.thread === thread.id);
    const rows = (ROWS[thread.role] ?? []).filter((row) => events.some(({ event }) => family(event) === row));
    // What mutators do is never inside of something else: one row is enough.
    return { thread, events, rows: thread.role === 'mutator' ? ['*'] : rows.length === 0 ? ['*'] : rows };
  });
  const ends = cycle.events.map(({ startMs, durationUs }) => startMs + durationUs / 1000);
  const around = (cycle.endMs - cycle.startMs) * 0.05;
  const from = Math.max(
    cycle.startMs - around,
    Math.min(cycle.startMs, ...cycle.events.map(({ startMs }) => startMs)),
  );
  const to = Math.min(cycle.endMs + around, Math.max(cycle.endMs, ...ends));
  const axis = linearAxis('time since the cycle began', [], (ms) => duration(ms * 1000), {
    min: from - cycle.startMs,
    max: to - cycle.startMs,
  });
  const x = (ms: number): number =>
    round(LEFT + Math.min(1, Math.max(0, axis.place(ms - cycle.startMs))) * (WIDTH - LEFT - RIGHT));
  let top = 6;
  const drawn = layout.map(({ thread, events, rows }) => {
    const start = top;
    top += rows.length * ROW + 10;
    return el(
      'g',
      { 'data-lane': thread.id, class: 'lane' },
      el('rect', {
        class: 'lane-back',
        x: LEFT,
        y: start - 3,
        width: WIDTH - LEFT - RIGHT,
        height: rows.length * ROW + 6,
      }),
      el(
        'text',
        { class: 'tick', x: LEFT - 10, y: start + (rows.length * ROW) / 2 + 4, 'text-anchor': 'end' },
        thread.name,
      ),
      events.map(({ event, index }) => {
        const row = rows[0] === '*' ? 0 : rows.indexOf(family(event));
        if (row === -1 || event.durationUs === 0) return null;
        const next = (): number =>
          Math.min(
            ...events.flatMap(({ event: one }) =>
              one.startMs > event.startMs && (rows[0] === '*' || family(one) === rows[row])
                ? [one.startMs]
                : [],
            ),
          );
        return bar(event, index, start + row * ROW, x, next);
      }),
    );
  });
  return el(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${top + 44}`,
      role: 'img',
      'aria-label': `Threads in cycle ${cycle.cycle}`,
      'data-plot': 'lanes',
    },
    axis.ticks.map(({ value, text }) => {
      const at = x(value + cycle.startMs);
      return [
        el('line', { class: 'grid', x1: at, x2: at, y1: 2, y2: top }),
        el('text', { class: 'tick', x: at, y: top + 16, 'text-anchor': 'middle' }, text),
      ];
    }),
    el('text', { class: 'title', x: (LEFT + WIDTH) / 2, y: top + 36, 'text-anchor': 'middle' }, axis.title),
    drawn,
  );
}

/** @param next when the next event begins in the row: what is inside of this one lies on its label */
function bar(
  event: TimelineEvent,
  index: number,
  y: number,
  x: (ms: number) => number,
  next: () => number,
): Child {
  const { kind, startMs, durationUs, details } = event;
  const [family, ...names] = kind.split(':');
  const name = names.at(-1) ?? family!;
  const left = x(startMs);
  const width = round(Math.max(1, x(startMs + durationUs / 1000) - left));
  const room = name.length * LETTER + 6;
  const style = family === 'phase' ? phaseClass(name) : `lane-${family}`;
  const words = [
    `${kind.replaceAll(':', ' ')}: ${duration(durationUs)}`,
    ...Object.entries(details ?? {}).map(([key, value]) => `${key} ${value}`),
  ].join(', ');
  return el(
    'g',
    { 'data-event': index, 'data-kind': kind, 'data-start-ms': startMs, 'data-us': durationUs },
    el('title', {}, words),
    el('rect', { class: `event ${style}`, x: left, y, width, height: ROW - 2 }),
    family === 'fault' || family === 'pages' || width < room || x(next()) - left < room
      ? null
      : el('text', { class: 'inside', x: left + 4, y: y + 13 }, name),
  );
}
