// The report in a real browser: no errors, nothing fetched, everything drawn has a place, and no two labels lie on each other.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reportHtml } from '#bench/report/report.js';
import { browse, findChromium, NO_CHROMIUM } from '../../support/chromium.js';
import { findAll, parseMarkup } from '../../support/markup.js';
import { richFixture } from '../fixtures/document.js';

const chromium = findChromium();
let dir: string;
let file: string;
const html = reportHtml(richFixture());
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tospace-report-test-'));
  file = join(dir, 'report.html');
  writeFileSync(file, html);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const withBrowser = chromium === undefined ? test.skip : test;
const name = (what: string): string => (chromium === undefined ? `${what} (${NO_CHROMIUM})` : what);

/** Measures in the page, and leaves the answer in it. */
const PROBE = `<script>
for (const details of document.querySelectorAll('details')) details.open = true;
const answer = { plots: [], flat: [], outside: [], overlaps: [] };
for (const svg of document.querySelectorAll('svg[data-plot]')) {
  const box = svg.getBoundingClientRect();
  answer.plots.push([svg.dataset.plot, Math.round(box.width), Math.round(box.height)]);
  for (const mark of svg.querySelectorAll('.marker, .bar, .event, .shade, [data-built] > :not(title)')) {
    const { left, right, top, bottom } = mark.getBoundingClientRect();
    const what = svg.dataset.plot + ' ' + mark.outerHTML.slice(0, 90);
    if (right - left <= 0 || bottom - top <= 0) answer.flat.push(what);
    if (left < box.left - 6 || right > box.right + 6 || top < box.top - 6 || bottom > box.bottom + 6) answer.outside.push(what);
  }
  const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
  for (const [text, a] of texts)
    if (a.left < box.left - 1 || a.right > box.right + 1 || a.bottom > box.bottom + 1) answer.outside.push(svg.dataset.plot + ': ' + text);
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length; j++) {
      const [[s, a], [t, b]] = [texts[i], texts[j]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      // Line boxes are taller than their letters.
      if (wide > 1 && high > 4) answer.overlaps.push(svg.dataset.plot + ': ' + s + ' / ' + t);
    }
}
answer.width = document.documentElement.scrollWidth;
answer.resources = performance.getEntriesByType('resource').map((one) => one.name);
const pre = document.createElement('pre');
pre.id = 'answer';
pre.textContent = JSON.stringify(answer);
document.body.append(pre);
</script>`;

interface Answer {
  readonly plots: [string, number, number][];
  readonly flat: string[];
  readonly outside: string[];
  readonly overlaps: string[];
  readonly width: number;
  readonly resources: string[];
}

withBrowser(
  name('everything drawn is to be seen, nothing is fetched, and nobody complains'),
  async () => {
    const probed = join(dir, 'probed.html');
    const netLog = join(dir, 'net.json');
    writeFileSync(probed, html.replace('</body>', `${PROBE}</body>`));
    const { status, stdout, messages } = await browse(chromium!, pathToFileURL(probed).href, [
      '--window-size=1280,900',
      `--log-net-log=${netLog}`,
      '--dump-dom',
    ]);
    expect(status).toBe(0);
    expect(messages).toEqual([]);
    const answer = JSON.parse(
      /<pre id="answer">([^<]*)<\/pre>/
        .exec(stdout)![1]!
        .replaceAll('&gt;', '>')
        .replaceAll('&lt;', '<')
        .replaceAll('&amp;', '&'),
    ) as Answer;
    const drawn = findAll(parseMarkup(html), { 'data-plot': undefined });
    expect(answer.plots.map(([plot]) => plot)).toEqual(
      drawn.map(({ attributes }) => attributes['data-plot']),
    );
    for (const [plot, width, height] of answer.plots) {
      expect(width, plot).toBeGreaterThan(300);
      expect(height, plot).toBeGreaterThan(20);
    }
    expect(answer.flat).toEqual([]);
    expect(answer.outside).toEqual([]);
    expect(answer.overlaps).toEqual([]);
    expect(answer.width).toBeLessThanOrEqual(1280);
    expect(answer.resources).toEqual([]);
    const requested = [...readFileSync(netLog, 'utf8').matchAll(/"url":"(https?:[^"]*)"/g)].map(
      (match) => match[1],
    );
    expect(requested).toEqual([]);
  },
  70_000,
);

withBrowser(
  name('it can be looked at, in light and dark, and printed'),
  async () => {
    const shots = {
      light: join(dir, 'light.png'),
      dark: join(dir, 'dark.png'),
      paper: join(dir, 'paper.pdf'),
    };
    const url = pathToFileURL(file).href;
    for (const args of [
      ['--window-size=1280,2400', `--screenshot=${shots.light}`],
      ['--window-size=1280,2400', '--blink-settings=preferredColorScheme=0', `--screenshot=${shots.dark}`],
      ['--no-pdf-header-footer', `--print-to-pdf=${shots.paper}`],
    ]) {
      const { status, messages } = await browse(chromium!, url, args);
      expect(status).toBe(0);
      expect(messages).toEqual([]);
    }
    for (const shot of Object.values(shots)) expect(statSync(shot).size).toBeGreaterThan(40_000);
    expect(readFileSync(shots.light).equals(readFileSync(shots.dark))).toBe(false);
  },
  180_000,
);
