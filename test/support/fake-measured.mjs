// Stands in for a measured process: does what the name of the collector in its configuration says.
//
//   good           the facts of a run, with checksum 42 and three operations
//   wrong          the same with checksum 43
//   hang           never ends
//   crash          is ended by a signal after some words on standard error
//   fails          ends with status 3
//   mute           ends well and writes nothing
//   flaky          fails when its file of state says so: every second time
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const { configuration, factsFile, operationsFile } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { collector } = configuration;

if (collector === 'hang') setInterval(() => {}, 1000);
else if (collector === 'crash') {
  process.stderr.write('about to die\n', () => process.kill(process.pid, 'SIGSEGV'));
} else if (collector === 'fails') {
  process.stderr.write('no such luck\n');
  process.exitCode = 3;
} else if (collector === 'flaky' && toggle()) {
  process.exitCode = 1;
} else if (collector !== 'mute') {
  writeFileSync(operationsFile, Buffer.from(Float64Array.of(0, 1, 1, 2, 2, 10).buffer));
  writeFileSync(
    factsFile,
    JSON.stringify({
      checksum: collector === 'wrong' ? 43 : 42,
      wallMs: 10,
      cpuMs: 12,
      gcCpuMs: 2,
      gcCpuFrom: 'threads',
      gcWallMs: 1,
      pauses: [],
      v8Pauses: null,
      faults: null,
      stallsUs: null,
      windowsUs: null,
      memory: { rssBytes: null, pssBytes: null, peakRssBytes: 1000, memfdBytes: null, memfdPeakBytes: null },
      mmu: null,
      heap: null,
      timeline: { intervalMs: 1, samples: [], cycle: null },
      details: {},
    }),
  );
}

function toggle() {
  const state = join(dirname(factsFile), 'flaky');
  if (existsSync(state)) {
    rmSync(state);
    return false;
  }
  writeFileSync(state, '');
  return true;
}
