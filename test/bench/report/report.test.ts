// The report against the document that it is drawn from: every figure, and where it is drawn.
import { beforeAll, describe, expect, test } from 'vitest';
import { METRICS } from '#bench/harness/metrics.js';
import type { BenchDocument, Estimate, Facts } from '#bench/harness/schema.js';
import { reportHtml } from '#bench/report/report.js';
import { type Element, findAll, parseMarkup } from '../../support/markup.js';
import { fixture, richFixture } from '../fixtures/document.js';

let document: BenchDocument;
let html: string;
let page: Element;
beforeAll(() => {
  document = richFixture();
  html = reportHtml(document);
  page = parseMarkup(html);
});

const section = (id: string): Element => {
  const [found, ...more] = findAll(page, { id });
  expect(more).toEqual([]);
  return found!;
};
const number = (element: Element, name: string): number => {
  const text = element.attributes[name];
  expect(text, name).toMatch(/^-?\d/);
  return Number(text);
};
const estimateOf = (element: Element, name: string): Omit<Estimate, 'values'> => ({
  median: number(element, name),
  low: element.attributes['data-low'] === undefined ? null : number(element, 'data-low'),
  high: element.attributes['data-high'] === undefined ? null : number(element, 'data-high'),
});
const figures = ({ median, low, high }: Estimate): Omit<Estimate, 'values'> => ({ median, low, high });
const representatives = (): { id: string; facts: Facts }[] =>
  document.analysis.configurations.map(({ configuration: id, representative }) => ({
    id,
    facts: document.measurements.find((one) => one.id === representative)!.facts!,
  }));

/** Where a mark is: the first coordinates of its path. */
function placeOf(point: Element): { x: number; y: number } {
  const marker = findAll(point, { class: 'marker' })[0]!;
  const [, x, y] = /^M(-?[\d.]+) (-?[\d.]+)/.exec(marker.attributes.d!)!;
  return { x: Number(x), y: Number(y) };
}

/** That places are a linear function of values, to a pixel. */
function expectLinear(pairs: readonly (readonly [value: number, place: number])[]): void {
  const [low, high] = [Math.min, Math.max].map(
    (pick) => pairs.find(([value]) => value === pick(...pairs.map(([v]) => v)))!,
  );
  if (low![0] === high![0]) return;
  for (const [value, place] of pairs) {
    const expected = low![1] + ((value - low![0]) / (high![0] - low![0])) * (high![1] - low![1]);
    expect(Math.abs(place - expected)).toBeLessThan(1.1);
  }
}

describe('the file', () => {
  test('is well-formed, fetches nothing, and has the document in it', () => {
    const [script] = findAll(page, { id: 'document' });
    expect(JSON.parse(script!.text)).toEqual(document);
    const outside = html.replace(/<script type="application\/json"[\s\S]*?<\/script>/, '');
    expect(
      /https?:|url\(|@import|<(link|img|iframe|object)|<[^>]*\s(src|href)="[^#]/i.exec(outside)?.[0],
    ).toBeUndefined();
    expect(/NaN|undefined|Infinity|="null"|\[object/.exec(outside)?.[0]).toBeUndefined();
    expect(findAll(page, { 'http-equiv': 'Content-Security-Policy' })[0]!.attributes.content).toMatch(
      /^default-src 'none'/,
    );
  });

  test('says what a document says as text, whatever it is', () => {
    expect(section('summary').text).toContain('<script>alert(1)</script> & "interrupted"');
    expect(section('summary').text).toContain("go'><img src=x>: no <go> & no \u2028 compiler");
    expect(section('machine').text).toContain('</script><b>');
    expect(findAll(page, {}).filter(({ name }) => name === 'script')).toHaveLength(2);
  });

  test('the checker finds what is not well-formed', () => {
    for (const wrong of [
      '<html><p></html>',
      '<html><p a=1></p></html>',
      '<html>a & b</html>',
      '<html><p',
      '<html><p>',
    ])
      expect(() => parseMarkup(wrong)).toThrow();
  });
});

describe('the summary', () => {
  test('has every standing with its ratio', () => {
    expect(document.analysis.standings.length).toBeGreaterThan(3);
    for (const { metric, rows } of document.analysis.standings) {
      const [first, ...others] = rows;
      const of = (configuration: string): Element[] =>
        findAll(section('summary'), { 'data-standing': metric, 'data-configuration': configuration });
      expect(of(first!.configuration).map((one) => number(one, 'data-median'))).toEqual([
        first!.value.median,
      ]);
      for (const { configuration, ratio, behind } of others) {
        const [said] = of(configuration);
        expect(number(said!, 'data-ratio')).toBe(ratio);
        expect(/is behind/.test(said!.text)).toBe(behind === true);
        expect(/may be chance/.test(said!.text)).toBe(behind === false);
        expect(/too few/.test(said!.text)).toBe(behind === null);
      }
    }
  });

  test('says what is incomplete, skipped, wrong', () => {
    const { text } = section('summary');
    expect(text).toContain('This run is incomplete.');
    expect(findAll(section('summary'), { 'data-skipped': undefined })).toHaveLength(document.skipped.length);
    expect(text).toMatch(/All results are equal: 2 checksums/);
    const wrong = {
      ...document,
      checksums: document.checksums.map((one) => ({ ...one, equal: false, checksum: null })),
    };
    expect(parseMarkup(reportHtml(wrong)).text).toMatch(/WRONG RESULTS: the checksums of gcbench/);
  });
});

describe('plots', () => {
  test('latency: every percentile of every configuration, where it belongs', () => {
    let points = 0;
    for (const kind of ['simple', 'metered'] as const) {
      const places = new Map<Element, [number, number][]>();
      for (const { configuration, latency } of document.analysis.configurations) {
        const plots = findAll(section('latency'), { 'data-plot': `latency-${kind}` });
        const plot = plots.find((one) => findAll(one, { 'data-series': configuration }).length > 0)!;
        for (const { name, us } of latency[kind]!.percentiles) {
          const [series] = findAll(plot, { 'data-series': configuration });
          const [point] = findAll(series!, { 'data-percentile': name });
          expect(estimateOf(point!, 'data-us')).toEqual(figures(us!));
          // Markers have different first points; heights within one series compare.
          const list = places.get(series!) ?? [];
          places.set(series!, list);
          list.push([Math.log(us!.median), placeOf(point!).y]);
          points++;
        }
      }
      for (const list of places.values()) expectLinear(list);
    }
    expect(points).toBe(document.analysis.configurations.length * 12);
  });

  test('pauses: bars are the buckets, marks the percentiles', () => {
    let bars = 0;
    for (const { configuration, pauses } of document.analysis.configurations)
      for (const { kind, us, phase } of pauses) {
        if (phase !== 'total' || us.count === 0) continue;
        const rows = findAll(section('pauses'), {
          'data-configuration': configuration,
          'data-kind': kind,
          'data-count': String(us.count),
        });
        expect(rows).toHaveLength(1);
        const drawn = findAll(rows[0]!, { 'data-edge': undefined });
        expect(drawn.map((bar) => [number(bar, 'data-edge'), number(bar, 'data-n')])).toEqual(us.buckets);
        expectLinear(drawn.map((bar) => [Math.log(number(bar, 'data-edge')), number(bar, 'x')]));
        for (const mark of ['p50', 'p99', 'max'] as const)
          expect(number(findAll(rows[0]!, { 'data-mark': mark })[0]!, 'data-us')).toBe(us[mark]);
        bars += drawn.length;
      }
    expect(bars).toBeGreaterThan(20);
  });

  test('steps of pauses are in their table', () => {
    for (const { configuration, pauses } of document.analysis.configurations)
      for (const { kind, phase, us } of pauses) {
        if (phase === 'total') continue;
        const [row] = findAll(section('pauses'), {
          'data-configuration': configuration,
          'data-kind': kind,
          'data-phase': phase,
        });
        expect(findAll(row!, { 'data-us': undefined }).map((cell) => number(cell, 'data-us'))).toEqual(
          [us.p50, us.p99, us.max].filter((value) => value !== null),
        );
      }
  });

  test('minimum mutator utilisation', () => {
    let known = 0;
    for (const { configuration, mmu } of document.analysis.configurations) {
      if (mmu === null) {
        expect(section('mmu').text).toMatch(/not known of none/);
        continue;
      }
      known++;
      const [series] = findAll(section('mmu'), { 'data-series': configuration });
      const points = findAll(series!, { 'data-point': '' });
      expect(
        points.map((point) => [number(point, 'data-window-ms'), estimateOf(point, 'data-utilisation')]),
      ).toEqual(mmu.windows.map(({ windowMs, utilisation }) => [windowMs, figures(utilisation)]));
      expectLinear(points.map((point) => [number(point, 'data-utilisation'), placeOf(point).y]));
      expectLinear(points.map((point) => [Math.log(number(point, 'data-window-ms')), placeOf(point).x]));
    }
    expect(known).toBeGreaterThan(2);
  });

  test('memory: every sample that knows, every phase of every cycle', () => {
    const plots = findAll(section('memory'), { 'data-plot': 'memory' });
    const timelines = representatives().filter(({ facts }) => facts.timeline !== null);
    expect(plots).toHaveLength(timelines.length);
    for (const [i, { facts }] of timelines.entries()) {
      const { samples } = facts.timeline!;
      for (const field of ['usedBytes', 'softLimitBytes', 'rssBytes', 'memfdBytes'] as const) {
        const known = samples.filter((sample) => sample[field] !== null);
        const lines = findAll(plots[i]!, { 'data-field': field });
        expect(lines).toHaveLength(known.length === 0 ? 0 : 1);
        if (known.length === 0) continue;
        expect(lines[0]!.attributes['data-bytes']).toBe(known.map((sample) => sample[field]).join(' '));
        const d = lines[0]!.children.find(({ name }) => name === 'path')!.attributes.d!;
        const places = [...d.matchAll(/[ML]([\d.]+) ([\d.]+)/g)];
        expect(places).toHaveLength(known.length);
        expectLinear(places.map(([, x], j) => [known[j]!.ms, Number(x)]));
        expectLinear(places.map(([, , y], j) => [known[j]![field]!, Number(y)]));
      }
      const shades = findAll(plots[i]!, { 'data-phase': undefined });
      const phases = (facts.heap?.cycles ?? []).flatMap(({ cycle, phasesMs }) =>
        Object.entries(phasesMs).map(([phase, ms]) => [cycle, phase, ms]),
      );
      expect(
        shades.map((shade) => [
          number(shade, 'data-cycle'),
          shade.attributes['data-phase'],
          number(shade, 'data-ms'),
        ]),
      ).toEqual(phases);
    }
  });

  test('one cycle: every span on the lane of its thread, and pages by builder', () => {
    const timelines = representatives().filter(({ facts }) => facts.timeline?.cycle != null);
    expect(timelines.length).toBeGreaterThan(1);
    const drawn = findAll(section('cycle'), { 'data-cycle-of': undefined });
    expect(drawn).toHaveLength(timelines.length);
    for (const [i, { facts }] of timelines.entries()) {
      const cycle = facts.timeline!.cycle!;
      expect(findAll(drawn[i]!, { 'data-lane': undefined })).toHaveLength(cycle.threads.length);
      const within: [number, number][] = [];
      for (const { id } of cycle.threads) {
        const [lane] = findAll(drawn[i]!, { 'data-lane': id });
        const spans = cycle.events.flatMap(({ thread, kind, startMs, durationUs }) =>
          thread === id && durationUs > 0 && kind !== 'cycle' ? [[kind, startMs, durationUs]] : [],
        );
        const events = findAll(lane!, { 'data-event': undefined });
        expect(
          events.map((one) => [
            one.attributes['data-kind'],
            number(one, 'data-start-ms'),
            number(one, 'data-us'),
          ]),
        ).toEqual(spans);
        for (const event of events) {
          const startMs = number(event, 'data-start-ms');
          const [rect] = event.children.filter(({ name }) => name === 'rect');
          if (startMs >= cycle.startMs && startMs <= cycle.endMs) within.push([startMs, number(rect!, 'x')]);
        }
      }
      expectLinear(within);
      const built = cycle.events.filter(
        ({ kind, details }) => kind === 'pages' || (kind === 'fault' && details!.outcome === 'built'),
      );
      expect(built.length).toBeGreaterThan(0);
      for (const name of ['strip', 'pages']) {
        const places = findAll(drawn[i]!, { 'data-plot': name }).flatMap((one) =>
          findAll(one, { 'data-built': undefined }),
        );
        const key = (by: string, page: number, pages: number): string => `${by} ${page} ${pages}`;
        expect(
          places
            .map((one) =>
              key(one.attributes['data-by']!, number(one, 'data-page'), number(one, 'data-pages')),
            )
            .sort(),
        ).toEqual(
          built
            .map(({ thread, details }) => key(thread, Number(details!.page), Number(details!.pages ?? 1)))
            .sort(),
        );
      }
    }
  });

  test('faults and stalls', () => {
    for (const { id, facts } of representatives()) {
      const rows = findAll(section('faults'), { 'data-configuration': id }).filter(
        ({ name }) => name === 'tr',
      );
      expect(rows).toHaveLength(facts.faults === null ? 0 : 1);
      if (facts.faults !== null) {
        const values = findAll(rows[0]!, { 'data-value': undefined }).map((cell) =>
          number(cell, 'data-value'),
        );
        const { count, servedBy, shared, late, latencyUs } = facts.faults;
        expect(values).toEqual([count, servedBy.collector, shared, late]);
        expect(rows[0]!.text).toContain(servedBy.servers.map((n) => n.toLocaleString('en')).join(' + '));
        const [ridge] = findAll(section('faults'), { 'data-configuration': id, 'data-what': 'latencyUs' });
        const bars = findAll(ridge!, { 'data-edge': undefined });
        expect(bars.map((bar) => [number(bar, 'data-edge'), number(bar, 'data-n')])).toEqual(
          latencyUs.buckets,
        );
      }
      if (facts.stallsUs === null) continue;
      const [ridge] = findAll(section('faults'), { 'data-configuration': id, 'data-what': 'stallsUs' });
      expect(number(ridge!, 'data-count')).toBe(facts.stallsUs.count);
    }
  });
});

describe('tables', () => {
  test('lower-bound overhead', () => {
    for (const row of document.analysis.lbo.flatMap(({ rows }) => rows)) {
      const [drawn] = findAll(section('lbo'), { 'data-configuration': row.configuration });
      for (const what of ['wall', 'cpu'] as const) {
        const [cell] = findAll(drawn!, { 'data-metric': `lbo-${what}` });
        expect(estimateOf(cell!, 'data-median')).toEqual(figures(row[what]!));
      }
    }
  });

  test('every metric of every configuration, and words where there is none', () => {
    for (const { workload } of document.checksums) {
      const analysed = document.analysis.configurations.filter(({ configuration }) =>
        configuration.startsWith(`${workload}/`),
      );
      for (const { name } of METRICS.filter((metric) =>
        analysed.some(({ metrics }) => metrics[metric.name] != null),
      )) {
        const rows = findAll(section('metrics'), { 'data-metric-row': name });
        const row = rows[rows.length === 1 ? 0 : workload === 'gcbench' ? 0 : 1]!;
        const cells = row.children.filter(({ name: tag }) => tag === 'td');
        expect(cells).toHaveLength(analysed.length);
        for (const [i, { metrics }] of analysed.entries()) {
          const value = metrics[name];
          if (value == null) expect(cells[i]!.text).toBe('not measured');
          else expect(estimateOf(cells[i]!, 'data-median')).toEqual(figures(value));
        }
      }
    }
  });

  test('series and minimum heaps', () => {
    const [{ points }] = document.analysis.scaling as [BenchDocument['analysis']['scaling'][number]];
    for (const name of ['wallMs', 'peakRssBytes']) {
      const [plot] = findAll(section('scaling'), { 'data-plot': `scaling-${name}` });
      const drawn = findAll(plot!, { 'data-point': '' });
      expect(drawn.map((point) => [number(point, 'data-x'), estimateOf(point, 'data-median')])).toEqual(
        points.map(({ x, metrics }) => [x, figures(metrics[name]!)]),
      );
      expectLinear(drawn.map((point) => [number(point, 'data-x'), placeOf(point).x]));
      expectLinear(drawn.map((point) => [number(point, 'data-median'), placeOf(point).y]));
    }
    const [found] = findAll(section('minimum'), { 'data-minimum': 'gcbench/concurrent' });
    expect(findAll(found!, { 'data-bytes': undefined }).map((cell) => number(cell, 'data-bytes'))).toEqual([
      12_582_912, 11_534_336,
    ]);
    expect(findAll(section('minimum'), { 'data-minimum': 'splay/none' })[0]!.text).toContain('none works');
  });
});

test('what was not measured is said, not drawn', () => {
  const bare = fixture();
  const without: BenchDocument = {
    ...bare,
    measurements: bare.measurements.map((one) => ({
      ...one,
      facts: one.facts && {
        ...one.facts,
        timeline: null,
        faults: null,
        stallsUs: null,
        mmu: null,
        operations: null,
      },
    })),
    analysis: {
      ...bare.analysis,
      lbo: [],
      standings: [],
      configurations: bare.analysis.configurations.map((one) => ({
        ...one,
        mmu: null,
        pauses: [],
        hiccupsUs: null,
        latency: { simple: null, metered: null },
        metrics: { wallMs: one.metrics.wallMs! },
      })),
    },
  };
  const bareHtml = reportHtml(without);
  const barePage = parseMarkup(bareHtml);
  expect(findAll(barePage, { 'data-plot': undefined })).toEqual([]);
  expect(barePage.text).toMatch(/no operations were logged/);
  expect(barePage.text).toMatch(/no pauses are known/);
  expect(barePage.text).toMatch(/no samples of its memory were taken/);
  expect(barePage.text).toMatch(/no cycle was recorded/);
  expect(barePage.text).toMatch(/No configuration that was measured has faults/);
  expect(barePage.text).toMatch(/There is no bound/);
  expect(
    /NaN|undefined|Infinity/.exec(bareHtml.replace(/<script[\s\S]*?<\/script>/g, ''))?.[0],
  ).toBeUndefined();
});

test('a document of which nothing was measured has a report', () => {
  const { analysis, ...rest } = fixture();
  const empty: BenchDocument = {
    ...rest,
    status: 'failed',
    problems: ['nothing could be measured'],
    measurements: [],
    checksums: [],
    analysis: { ...analysis, configurations: [], lbo: [], standings: [] },
  };
  expect(parseMarkup(reportHtml(empty)).text).toContain('nothing was measured');
});
