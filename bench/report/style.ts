// How the report looks: on light and dark screens, and on paper. Colours of series are those of Okabe and Ito, which most colour-blind
// readers can tell apart, made darker or lighter until they have contrast on each ground.

const LIGHT = {
  back: '#ffffff',
  panel: '#f5f6f8',
  ink: '#1b1f24',
  soft: '#545b66',
  rule: '#d5d9df',
  series: ['#0060a8', '#b54a00', '#00704f', '#8f3a74', '#7a5c00', '#1f7fb5', '#444c56', '#b3261e'],
  phases: {
    prepare: '#8d99a8',
    stop: '#b3261e',
    mark: '#7fb2dd',
    remark: '#d6604d',
    references: '#c9a0c9',
    plan: '#e0c060',
    flip: '#c2185b',
    compact: '#76c3a1',
    resume: '#8d6e63',
    close: '#a9b3bf',
    other: '#c0c0c0',
  },
  lanes: {
    pause: '#e58a7b',
    step: '#f0c0b4',
    stopped: '#c2185b',
    stall: '#c77700',
    'sampled-fault': '#8f3a74',
    fault: '#b54a00',
    pages: '#2f8f6b',
  },
};

const DARK: typeof LIGHT = {
  back: '#14171b',
  panel: '#1d2126',
  ink: '#e8eaed',
  soft: '#a5adb8',
  rule: '#363c45',
  series: ['#62b0f0', '#f08c4a', '#3ec79a', '#dd90c3', '#e0bd4b', '#8fd0f5', '#c3cad3', '#ff8a80'],
  phases: {
    prepare: '#66707d',
    stop: '#d9534a',
    mark: '#3572a5',
    remark: '#c2503d',
    references: '#8a5f8a',
    plan: '#9a8030',
    flip: '#e8488a',
    compact: '#2f8062',
    resume: '#8d6e63',
    close: '#59636f',
    other: '#606060',
  },
  lanes: {
    pause: '#a34a3c',
    step: '#7a4238',
    stopped: '#e8488a',
    stall: '#d99030',
    'sampled-fault': '#c77bb0',
    fault: '#f08c4a',
    pages: '#3ec79a',
  },
};

const DASHES = ['none', '7 3', '2 3', '10 3 2 3', '5 2 2 2 2 2', '1 2', '14 4', '4 4'];

function variables(theme: typeof LIGHT): string {
  const { series, phases, lanes, ...plain } = theme;
  const all = {
    ...plain,
    ...Object.fromEntries(series.map((colour, i) => [`s${i}`, colour])),
    ...Object.fromEntries(Object.entries(phases).map(([name, colour]) => [`phase-${name}`, colour])),
    ...Object.fromEntries(Object.entries(lanes).map(([name, colour]) => [`lane-${name}`, colour])),
  };
  return Object.entries(all)
    .map(([name, value]) => `--${name}:${value};`)
    .join('');
}

const classes = [
  ...LIGHT.series.map((_, i) => `.s${i}{--c:var(--s${i})}.s${i} .line{stroke-dasharray:${DASHES[i]}}`),
  ...Object.keys(LIGHT.phases).map((name) => `.phase-${name}{fill:var(--phase-${name})}`),
  ...Object.keys(LIGHT.lanes).map((name) => `.lane-${name}{fill:var(--lane-${name})}`),
  // Who builds pages: the collector in the colour of its lane, servers in the colours of series.
  '.by-0{fill:var(--lane-pages)}',
  ...[1, 3, 0, 4, 7].map((colour, i) => `.by-${i + 1}{fill:var(--s${colour})}`),
].join('\n');

export const STYLE: string = `
:root{color-scheme:light dark;${variables(LIGHT)}}
@media (prefers-color-scheme:dark){:root{${variables(DARK)}}}
@media print{:root{color-scheme:light;${variables(LIGHT)}}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1240px;padding:24px 28px 60px;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
h1{font-size:27px;margin:0 0 2px}h2{font-size:21px;margin:44px 0 6px;padding-top:14px;border-top:2px solid var(--rule)}
h3{font-size:16.5px;margin:24px 0 4px}p{margin:6px 0 10px;max-width:92ch}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",monospace}small,.note,.sub{color:var(--soft)}.note{font-size:13.5px}
nav{margin:12px 0}nav a{margin-right:14px;white-space:nowrap}a{color:var(--s0)}
.missing{color:var(--soft);font-style:italic}
.problems{border-left:5px solid var(--s7);background:var(--panel);padding:8px 16px}
ul{padding-left:22px}.standings li{margin:3px 0}
figure{margin:12px 0;min-width:0}figcaption{font-weight:600;font-size:14px;margin-bottom:2px}
#machine td{white-space:normal}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:8px 24px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font:12.5px system-ui,"Segoe UI","DejaVu Sans",sans-serif}svg text.tick{fill:var(--soft)}
svg text.title{font-weight:600;fill:var(--soft)}svg text.inside{font-size:11.5px;pointer-events:none}
:is(.phase-flip,.phase-stop,.phase-resume,.lane-stopped,.lane-sampled-fault)+.inside{fill:var(--back)!important}
.grid{stroke:var(--rule);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1}
.line{fill:none;stroke:var(--c);stroke-width:2}.whisker{stroke:var(--c);stroke-width:1.4}
.marker{fill:var(--c);stroke:var(--back);stroke-width:.8}
.bar{fill:var(--c);opacity:.75}.mark{fill:none;stroke:var(--c);stroke-width:1.8}.mark.p99{stroke-dasharray:4 2}.mark.max{stroke-width:2.2}
.shade{opacity:.45}.lane-back{fill:var(--panel)}.event{stroke:var(--back);stroke-width:.5}.event.lane-pages,.event.lane-fault{stroke:none}
#faults table{font-size:12.5px}#faults th,#faults td{padding-right:8px}
.legend{list-style:none;padding:0;margin:4px 0 8px;display:flex;flex-wrap:wrap;gap:3px 18px;font-size:13.5px}
.legend li{display:flex;align-items:center;gap:6px}.legend svg.key{width:34px}.legend svg.swatch{width:14px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13.5px;margin:6px 0}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);vertical-align:top}
tbody th{font-weight:500}thead th{color:var(--soft);font-weight:600}td{font-variant-numeric:tabular-nums}
td{white-space:nowrap}
summary{cursor:pointer;font-weight:600;margin:8px 0}
@media print{body{max-width:none;padding:0;font-size:11.5px}.note,.legend,figcaption{font-size:11px}h1{font-size:22px}h2{font-size:17px;margin-top:26px}h3{font-size:13px}nav{display:none}figure,tr,.plots>*{break-inside:avoid}h2,h3,figcaption,summary{break-after:avoid}
.scroll{overflow:visible}table{font-size:9.5px}th,td{padding-right:6px}td{white-space:normal}.plots{grid-template-columns:1fr 1fr}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
${classes}
`;
