// The page-state strip: every page of to-space that was built in a cycle, when, and by whom. The sweep is a line from corner to corner;
// pages that a program touched before the sweep came to them stand above it.

import type { CycleTimeline, TimelineEvent } from '../harness/schema.ts';
import { linearAxis } from './axis.ts';
import { type Child, el } from './markup.ts';
import { figure, frame, plot, round, swatches } from './plot.ts';
import { count, duration } from './text.ts';

interface Built {
  readonly index: number;
  readonly event: TimelineEvent;
  readonly page: number;
  readonly pages: number;
  readonly space: string;
  /** Index in the list of builders. */
  readonly by: number;
}

/** The collector comes before the servers, and these by their numbers. */
const byNumber = new Intl.Collator('en', { numeric: true });

export function pageStrips(cycle: CycleTimeline): Child {
  const builders = cycle.threads
    .filter(({ role }) => role === 'collector' || role === 'server')
    .sort((a, b) => byNumber.compare(a.id, b.id));
  const built = cycle.events.flatMap((event, index): Built[] => {
    const { kind, thread, details } = event;
    const page = details?.page;
    const by = builders.findIndex(({ id }) => id === thread);
    if (by === -1 || typeof page !== 'number') return [];
    if (kind === 'fault' && details!.outcome !== 'built') return [];
    if (kind !== 'fault' && kind !== 'pages') return [];
    const pages = kind === 'pages' ? Number(details!.pages) : 1;
    return [{ index, event, page, pages, space: String(details!.space), by }];
  });
  if (built.length === 0)
    return el(
      'p',
      { class: 'missing' },
      'The trace of this cycle names no page that was built, so there is no strip.',
    );
  const spaces = [...new Set(built.map(({ space }) => space))].sort();
  return [
    swatches(builders.map(({ name }, i) => [`by-${i % 6}`, `built by: ${name}`])),
    spaces.map((space) =>
      strip(
        cycle,
        space,
        built.filter((one) => one.space === space),
        builders.map(({ name }) => name),
      ),
    ),
  ];
}

const WIDTH = 1100;

function strip(
  cycle: CycleTimeline,
  space: string,
  built: readonly Built[],
  builders: readonly string[],
): Child {
  const first = Math.min(...built.map(({ page }) => page));
  const last = Math.max(...built.map(({ page, pages }) => page + pages));
  const starts = built.map(({ event }) => event.startMs);
  const ends = built.map(({ event }) => event.startMs + event.durationUs / 1000);
  const from = Math.min(...starts);
  const to = Math.max(...ends, from + 0.001);
  const at = frame(
    linearAxis(
      `page of the ${space} space (4 KiB each, by number)`,
      [],
      (page) => page.toLocaleString('en'),
      {
        min: first,
        max: Math.max(last, first + 1),
      },
    ),
    // Time runs downwards, as one reads.
    downwards(linearAxis('time since the first page', [], (ms) => duration(ms * 1000), { max: to - from })),
    WIDTH,
    330,
  );
  const top = at.py(0);
  const place = ({ page, pages, event, by, index }: Built, flat: boolean): Child => {
    const left = at.px(page);
    const width = round(Math.max(1.5, at.px(page + pages) - left));
    const y = at.py(event.startMs - from);
    const height = round(Math.max(1.5, at.py(event.startMs + event.durationUs / 1000 - from) - y));
    const dot = !flat && event.kind === 'fault';
    return el(
      'g',
      {
        'data-built': index,
        'data-page': page,
        'data-pages': pages,
        'data-start-ms': event.startMs,
        'data-us': event.durationUs,
        'data-by': event.thread,
      },
      el(
        'title',
        {},
        `page ${page}${pages === 1 ? '' : ` to ${page + pages - 1}`}: ${builders[by]}, ${duration(event.durationUs)}`,
      ),
      dot
        ? el('path', { class: `by-${by % 6}`, d: `M${round(left + width / 2)} ${y - 4}l4 4l-4 4l-4 -4z` })
        : el('rect', { class: `by-${by % 6}`, x: left, y: flat ? 4 : y, width, height: flat ? 26 : height }),
    );
  };
  const pages = new Map<number, number>();
  for (const one of built) pages.set(one.by, (pages.get(one.by) ?? 0) + one.pages);
  const words = [...pages]
    .sort(([a], [b]) => a - b)
    .map(([by, n]) => `${builders[by]} built ${count(n, 'page')}`);
  return figure(
    `Which page was built when and by whom (${space} space)`,
    [
      el(
        'svg',
        { viewBox: `0 0 ${WIDTH} 34`, role: 'img', 'aria-label': 'Pages by builder', 'data-plot': 'strip' },
        el('rect', {
          class: 'lane-back',
          x: at.px(first),
          y: 4,
          width: round(at.px(at.x.max) - at.px(first)),
          height: 26,
        }),
        // A server's page is never hidden below the collector's next one.
        [...built].sort((a, b) => a.by - b.by).map((one) => place(one, true)),
      ),
      plot(
        'pages',
        `Pages of cycle ${cycle.cycle} by time and builder`,
        { ...at, height: 330 },
        el('line', { class: 'axis', x1: at.px(first), x2: at.px(at.x.max), y1: top, y2: top }),
        built.map((one) => place(one, false)),
      ),
    ],
    `${words.join(', ')}, within ${duration((to - from) * 1000)}. ${built.some(({ event }) => event.kind === 'fault') ? 'Diamonds: pages that a program touched before the sweep had come to them. ' : ''}Empty: not built in this cycle.`,
  );
}

function downwards(axis: ReturnType<typeof linearAxis>): ReturnType<typeof linearAxis> {
  return { ...axis, place: (value) => 1 - axis.place(value) };
}
