// The report: one HTML file that needs nothing else, drawn from a document of `tospace bench`, with the document in it.

import type { BenchDocument } from '../harness/schema.ts';
import { cycles } from './cycle.ts';
import { faults } from './faults.ts';
import { latencies } from './latency.ts';
import { machine } from './machine.ts';
import { el, jsonScript, raw } from './markup.ts';
import { memory } from './memory.ts';
import { utilisation } from './mmu.ts';
import { metrics, minimumHeaps, overheads } from './overhead.ts';
import { pauses } from './pauses.ts';
import { scaling } from './scaling.ts';
import { STYLE } from './style.ts';
import { summary } from './summary.ts';

const SECTIONS = [
  ['summary', 'Summary'],
  ['latency', 'Latency'],
  ['pauses', 'Pauses'],
  ['mmu', 'Utilisation'],
  ['memory', 'Memory'],
  ['cycle', 'One cycle'],
  ['faults', 'Faults'],
  ['lbo', 'Overhead'],
  ['scaling', 'Scaling'],
  ['minimum', 'Minimum heaps'],
  ['metrics', 'All figures'],
  ['machine', 'Machine'],
] as const;

/** On paper everything is to be seen: details open themselves before printing. */
const SCRIPT =
  "addEventListener('beforeprint',()=>{for(const d of document.querySelectorAll('details'))d.open=true});";

export function reportHtml(document: BenchDocument): string {
  const { suite, machine: m, startedAt, status } = document;
  const title = `tospace bench ${suite.name}`;
  const page = el(
    'html',
    { lang: 'en' },
    el(
      'head',
      {},
      el('meta', { charset: 'utf-8' }),
      el('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      // Nothing is fetched, whatever a document says.
      el('meta', {
        'http-equiv': 'Content-Security-Policy',
        content: "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:",
      }),
      el('title', {}, `${title}, ${startedAt}`),
      el('style', {}, raw(STYLE)),
    ),
    el(
      'body',
      {},
      el(
        'header',
        {},
        el('h1', {}, title),
        el(
          'p',
          { class: 'sub', 'data-status': status },
          `${startedAt}: ${m.cpu}, ${m.cpus} CPUs, Linux ${m.kernel}, Node.js ${m.node}, tospace ${m.tospace}`,
        ),
        el(
          'nav',
          {},
          SECTIONS.map(([id, name]) => el('a', { href: `#${id}` }, name)),
        ),
      ),
      el(
        'main',
        {},
        summary(document),
        latencies(document),
        pauses(document),
        utilisation(document),
        memory(document),
        cycles(document),
        faults(document),
        overheads(document),
        scaling(document),
        minimumHeaps(document),
        metrics(document),
        machine(document),
      ),
      jsonScript('document', document),
      el('script', {}, raw(SCRIPT)),
    ),
  );
  return `<!DOCTYPE html>\n${page.text}\n`;
}
