// In which units this kernel moves page tables, measured: the same pages go to three places that differ in nothing but how far their
// addresses agree with the old one. A kernel that moves whole tables of 1 GiB is fast only where they agree modulo 1 GiB, one that
// moves tables of 2 MiB is slow only where they do not even agree modulo 2 MiB.
import { MADV_POPULATE_WRITE } from '../abi.ts';
import { check } from '../check.ts';
import { Memfd } from '../memfd.ts';
import { Reservation } from '../reservation.ts';
import { cgroupMemory } from './cgroups.ts';
import { type Finding, info, type Lab, limited, ok } from './experiment.ts';
import { size } from './host.ts';
import { MOVE_FLAGS } from './scratch.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** A window of one whole GiB: shorter ones never move by one entry. */
const WINDOW_BYTES = GIB;
/** Enough pages that the regimes lie far apart (about 3, 15 and 180 µs), few enough to be had everywhere. */
const POPULATED_BYTES = 64 * MIB;
/** Where a limit leaves less, nothing is populated. */
const ROOM_BYTES = 256 * MIB;
const ROUNDS = 9;
/** Far below what separates two regimes (4 and more), far above noise. */
const APART = 1.6;

/** Where the windows lie in the reservation, and the remainder in which each place differs from the first. */
const PLACES = [
  { name: 'gib', offset: GIB },
  { name: 'mib', offset: 2 * GIB + 2 * MIB },
  { name: 'page', offset: 3 * GIB + 4 * MIB + 4096 },
] as const;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const round = (us: number): number => Math.round(us * 10) / 10;

export function measureGranularity({ kernel, host }: Lab): Finding {
  const [ceiling] = cgroupMemory(host).ceilings;
  const room =
    ceiling === undefined ? Number.POSITIVE_INFINITY : ceiling.limitBytes - (ceiling.usedBytes ?? 0);
  // A question must not get the process killed.
  if (room < ROOM_BYTES)
    return info(
      `not measured: the control group leaves ${size(Math.max(0, room))} of memory (memory-ceiling)`,
    );
  using file = Memfd.create(kernel, 'tospace-moves', WINDOW_BYTES);
  using place = Reservation.reserve(kernel, 5 * GIB, { alignBytes: GIB });
  const window = place.address;
  file.map(window, WINDOW_BYTES);
  check(
    kernel.madvise(window, POPULATED_BYTES, MADV_POPULATE_WRITE),
    'madvise',
    'populating 64 MiB to move them',
  );
  const times: Record<(typeof PLACES)[number]['name'], number[]> = { gib: [], mib: [], page: [] };
  for (let i = 0; i < ROUNDS; i++) {
    for (const { name, offset } of PLACES) {
      const target = window + offset;
      const started = host.now();
      const result = kernel.mremap(window, WINDOW_BYTES, WINDOW_BYTES, MOVE_FLAGS, target);
      times[name].push((host.now() - started) * 1000);
      check(result, 'mremap', `moving 1 GiB of address space, 64 MiB of it populated, by ${offset} bytes`);
      const back = kernel.mremap(target, WINDOW_BYTES, WINDOW_BYTES, MOVE_FLAGS, window);
      check(back, 'mremap', 'moving it back');
      // Emptied page tables must not be there the next time: their release would be measured.
      place.reset(target, WINDOW_BYTES);
    }
  }
  // Disturbances only ever add: the fastest of each tells the kernel's way, the median what a pause would see.
  const [gib, mib, page] = [Math.min(...times.gib), Math.min(...times.mib), Math.min(...times.page)];
  const regime = gib * APART < mib ? '1 GiB' : mib * APART < page ? '2 MiB' : '4 KiB';
  const values = {
    regime,
    congruent1GibUs: round(gib),
    congruent2MibUs: round(mib),
    congruent4KibUs: round(page),
    median1GibUs: round(median(times.gib)),
    median2MibUs: round(median(times.mib)),
    median4KibUs: round(median(times.page)),
  };
  const found =
    `the kernel moves page tables of ${regime} at a time: 1 GiB with 64 MiB in it took at best ${round(gib)} µs to a place congruent ` +
    `modulo 1 GiB, ${round(mib)} µs modulo 2 MiB, ${round(page)} µs modulo 4 KiB`;
  return regime === '1 GiB' ? ok(found, values) : limited(found, undefined, values);
}
