// The evictor thread: while more is resident than asked for, take regions away, give them time to be missed, write the rest out.
// What each step means is in pager.ts, which region comes next in clock.ts.
import { parentPort, workerData } from 'node:worker_threads';
import {
  createLibcKernel,
  type ErrorCode,
  encodeError,
  injectFaults,
  TospaceError,
  Userfaultfd,
} from 'tospace/uffd';
import { adoptArena } from './arena.ts';
import { Clock } from './clock.ts';
import { createCodec } from './codec.ts';
import { failStop } from './fail-stop.ts';
import { EvictingPager } from './pager.ts';
import { RegionState, RegionTable } from './region.ts';
import { CONTROL_STOP, Counter, type PagerData } from './shared.ts';
import { SLOT_BLOCK_BYTES, SlotAllocator, SwapFile } from './swap-file.ts';

/** How long a region must go untouched in the shadow. Enough for every region in real use to be missed. */
const PROBATION_MS = 20;
/** Bytes in the shadow at a time: what is written while the next ones serve their probation. */
const STANDBY_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of a batch, raw: an fdatasync takes milliseconds, whatever it writes. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const ROUND_MIN_MS = 200;
/** Between looks when nothing has to be evicted. */
const IDLE_MS = 10;
/** After a failed write: doubled at each further one. */
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 8000;
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['ERR_OUT_OF_MEMORY', 'ERR_SYSCALL', 'ERR_PERMISSION']);

const data = workerData as PagerData;
const kernel = injectFaults(createLibcKernel(), data.injection, 'evictor');
const control = new Int32Array(data.shared.control);
const counters = new Float64Array(data.shared.counters);
const table = new RegionTable(data.shared.regions);
const regionBytes = data.arenas[0]!.regionBytes;
const file = SwapFile.adopt(kernel, data.fileFd);
const slots = new SlotAllocator(Math.floor(data.fileLimitBytes / SLOT_BLOCK_BYTES));
const pager = new EvictingPager(
  {
    kernel,
    uffd: Userfaultfd.adopt(kernel, data.uffd.fd, data.uffd.kind, data.uffd.features),
    table,
    arenas: data.arenas.map((description) => adoptArena(kernel, description)),
    file,
    codec: createCodec(data.codec),
  },
  slots,
);
const clock = new Clock(table.count, ROUND_MIN_MS);
const standbyMax = Math.max(1, Math.floor(STANDBY_BYTES_MAX / regionBytes));
const batchMax = Math.max(1, Math.floor(BATCH_BYTES_MAX / regionBytes));
const residentMax = Math.floor(data.residentBytes / regionBytes);
/**
 * The regions that serve their probation, oldest first, and when they were moved. A region that is rescued stays on the list until its
 * turn comes and must not be moved again before: it would be on the list twice.
 */
const standby = new Map<number, number>();
let retryMs = RETRY_MIN_MS;
/** No region is moved before, by the clock of performance.now(). */
let pausedUntilMs = 0;

try {
  parentPort?.postMessage('ready');
  while (Atomics.load(control, CONTROL_STOP) === 0) {
    reclaimSlots();
    topUp();
    const due = performance.now() - PROBATION_MS;
    const batch = [...standby.keys()].slice(0, batchMax).filter((region) => standby.get(region)! <= due);
    if (batch.length === 0) {
      const [oldestMs] = standby.values();
      sleep(oldestMs === undefined ? IDLE_MS : Math.max(1, oldestMs - due));
      continue;
    }
    for (const region of batch) standby.delete(region);
    evict(batch);
  }
  for (const region of standby.keys()) pager.bringBack(region);
} catch (e) {
  failStop(kernel, 'evictor', e);
}

/** Blocks, but not longer than until the end is asked for. */
function sleep(ms: number): void {
  Atomics.wait(control, CONTROL_STOP, 0, ms);
}

function timed<T>(counter: number, run: () => T): T {
  const start = performance.now();
  try {
    return run();
  } finally {
    counters[counter]! += performance.now() - start;
  }
}

/** Slots of regions that the server loaded. */
function reclaimSlots(): void {
  for (let region = 0; region < table.count; region++) if (pager.reclaim(region)) clock.loaded(region);
  counters[Counter.FILE_USED_BYTES] = slots.usedBlocks * SLOT_BLOCK_BYTES;
  counters[Counter.FILE_END_BYTES] = slots.endBlock * SLOT_BLOCK_BYTES;
}

/** Takes regions away until enough are under way. */
function topUp(): void {
  if (performance.now() < pausedUntilMs) return;
  const census = table.census();
  // Those under way count as gone already; those that are touched come off the list when their turn comes.
  let tooMany = census[RegionState.RESIDENT]! - residentMax;
  for (; tooMany > 0 && standby.size < standbyMax; tooMany--) {
    const now = performance.now();
    const region = clock.next(now, (r) => table.state(r) === RegionState.RESIDENT && !standby.has(r));
    if (region < 0) return;
    try {
      if (!timed(Counter.MOVE_MS, () => pager.moveAway(region))) continue;
    } catch (e) {
      // Those under way go on: each that arrives gives a mapping back, which may be what was missing.
      refused(e, []);
      return;
    }
    counters[Counter.MOVED_REGIONS]!++;
    standby.set(region, now);
  }
}

/** Steps 3 to 5 for a batch. */
function evict(batch: readonly number[]): void {
  const written: number[] = [];
  const rest = [...batch];
  let failure: unknown;
  timed(Counter.WRITE_MS, () => {
    for (let region = rest.shift(); region !== undefined; region = rest.shift()) {
      try {
        const storedBytes = pager.writeOut(region);
        if (storedBytes === 0) {
          clock.rescued(region);
          continue;
        }
        counters[Counter.WRITTEN_RAW_BYTES]! += regionBytes;
        counters[Counter.WRITTEN_STORED_BYTES]! += storedBytes;
        written.push(region);
      } catch (e) {
        failure = e;
        rest.unshift(region);
        break;
      }
    }
  });
  // What was written before the disk was full may still become safe.
  if (written.length > 0) {
    try {
      timed(Counter.SYNC_MS, () => file.sync());
    } catch (e) {
      failure = e;
      rest.push(...written.splice(0));
    }
  }
  timed(Counter.RELEASE_MS, () => {
    for (const region of written) {
      const storedBytes = table.slot(region)!.storedBytes;
      if (pager.commit(region)) {
        clock.evicted(region);
        counters[Counter.EVICTED_REGIONS]!++;
        counters[Counter.EVICTED_STORED_BYTES]! += storedBytes;
      } else {
        clock.rescued(region);
      }
    }
  });
  if (failure === undefined) {
    retryMs = RETRY_MIN_MS;
    return;
  }
  // The next ones would meet the same: they need not wait for it away from home.
  rest.push(...standby.keys());
  standby.clear();
  refused(failure, rest);
}

/** Memory or the disk refused: these regions go home, the main thread learns why, and nothing is moved for a while. */
function refused(error: unknown, regions: readonly number[]): void {
  // Anything else is a bug, and no reason to go on.
  if (!(error instanceof TospaceError && REFUSALS.has(error.code))) throw error;
  for (const region of regions) pager.bringBack(region);
  counters[Counter.EVICTION_ERRORS]!++;
  counters[Counter.BROUGHT_BACK]! += regions.length;
  parentPort?.postMessage({ evictionError: encodeError(error), broughtBack: regions.length });
  pausedUntilMs = performance.now() + retryMs;
  retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
}
