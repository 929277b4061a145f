// From an unprocessed page to a mapped one: claim, build, install. The collector's sweep and the fault servers both do it here, so
// that there is one place where the order of these steps, and the meaning of every errno, is written down.
//
// Two ways to install, by the option `fill`:
//   continue  the page is built in the shadow, which is the same page of the memfd: UFFDIO_CONTINUE maps it. One system call
//             resolves both kinds of fault, because the page is in the page cache by then.
//   copy      the page is built in a private buffer and UFFDIO_COPY allocates the memfd's page, fills and maps it.
//
// A page of the non-moving space is rewritten in its memfd, where it stays, and always takes the first way.
//
// Both wake whoever waits for the pages they map. A page that turns out to be mapped already (EEXIST) gets an explicit wake: its
// faulter may have been queued after whoever mapped it had woken the others.

import { invariant, TospaceError } from '../errors.ts';
import { STAGING_BYTES } from '../heap/geometry.ts';
import {
  BATCH_PAGES,
  COLLECTOR,
  CTL_NON_MOVING_CLOSING,
  CTL_TO_ALIAS,
  PAGE_BYTES,
  PAGE_MAPPED,
  PAGE_MAPPING,
  PAGE_PROCESSED,
  PAGE_PROCESSING,
  W_EAGAIN,
  W_EEXIST,
} from '../heap/layout.ts';
import { EAGAIN, EEXIST, EFAULT, ENOENT, errnoName } from '../uffd/index.ts';
import { TRACE_PAGES } from '../heap/trace-ring.ts';
import type { WorkerContext } from './context.ts';
import { PageFixer } from './page-fixer.ts';
import type { PageChecker } from './verify/page-checker.ts';

/** Times an installation is tried again after EAGAIN before the worker gives up and stops the process: about a second. */
const EAGAIN_LIMIT = 1_000_000;

export class Builder {
  readonly #context: WorkerContext;
  readonly #heap: number;
  readonly #staging: number;
  /** Pages below this are installed by copying. */
  readonly #copiedPages: number;
  /** Pages from here on belong to the non-moving space. */
  readonly #nonMovingPage: number;
  readonly #checker: PageChecker | undefined;
  readonly #fixer: PageFixer;

  constructor(context: WorkerContext, checker?: PageChecker) {
    const { geometry } = context.tables;
    this.#context = context;
    this.#heap = context.arena.real(geometry.heap);
    this.#staging = geometry.staging + context.worker * STAGING_BYTES;
    this.#nonMovingPage = (geometry.nonMoving - geometry.heap) / PAGE_BYTES;
    this.#copiedPages = context.options.fill === 'copy' ? this.#nonMovingPage : 0;
    this.#checker = checker;
    this.#fixer = new PageFixer(context, checker);
  }

  /** Claims, builds and installs all unprocessed pages of [from, to); returns how many there were. */
  buildRange(from: number, to: number): number {
    let built = 0;
    for (let page = from; page < to; ) {
      const count = this.claimAndBuild(page, Math.min(to, page + BATCH_PAGES));
      built += count;
      page += count > 0 ? count : 1;
    }
    return built;
  }

  /** Claims the run of unprocessed pages that begins at `page` and ends before `limit`, builds and installs it; returns its length. */
  claimAndBuild(page: number, limit: number): number {
    const { kernels, worker, control } = this.#context;
    const count = kernels.claimPages(page, limit, worker);
    if (count === 0) return 0;
    const { trace } = this.#context;
    // A server's pages are in the events of its faults.
    const start = worker === COLLECTOR && trace.on ? performance.now() : 0;
    const copies = page < this.#copiedPages;
    const stays = page >= this.#nonMovingPage;
    if (stays) {
      this.#fixer.fix(page, count);
    } else {
      const target = copies ? this.#staging : (control[CTL_TO_ALIAS]! >>> 0) + page * PAGE_BYTES;
      kernels.buildPages(page, count, target);
      this.#checker?.check(page, count, target);
    }
    this.#move(page, count, PAGE_PROCESSING, PAGE_PROCESSED);
    if (copies) {
      this.#move(page, count, PAGE_PROCESSED, PAGE_MAPPING);
      this.#install(page, count);
      this.#move(page, count, PAGE_MAPPING, PAGE_MAPPED);
    } else {
      this.mapProcessed(page, count);
    }
    if (start !== 0) trace.span(TRACE_PAGES, 0, start, performance.now(), page, count);
    this.#context.countPages(count, stays ? 0 : count * PAGE_BYTES);
    return count;
  }

  /**
   * Maps those of the `count` pages from `page` on that are processed and that nobody else maps. Only where contents are in the
   * memfd: what a worker staged in its own buffer, it alone can install.
   */
  mapProcessed(page: number, count: number): void {
    invariant(this.mapsInPlace(page), 'staged pages are installed by their builder');
    const { kernels, worker } = this.#context;
    for (let done = 0; done < count; ) {
      const run = kernels.movePages(page + done, count - done, PAGE_PROCESSED, PAGE_MAPPING, worker);
      if (run > 0) {
        this.#install(page + done, run);
        this.#move(page + done, run, PAGE_MAPPING, PAGE_MAPPED);
      }
      // The page at which the run stopped was taken over by another worker, which maps it and wakes its faulters.
      done += run + 1;
    }
  }

  /** True when what was built of a page is in its memfd, for any worker to map. */
  mapsInPlace(page: number): boolean {
    return page >= this.#copiedPages;
  }

  #move(page: number, count: number, from: number, to: number): void {
    const moved = this.#context.kernels.movePages(page, count, from, to, this.#context.worker);
    invariant(moved === count, `page ${page + moved} goes from state ${from} to ${to} by its owner alone`);
  }

  #install(page: number, count: number): void {
    const { record, control } = this.#context;
    const uffd = this.#context.uffd!;
    this.#context.reach('install', page);
    let at = this.#heap + page * PAGE_BYTES;
    const copies = !this.mapsInPlace(page);
    let source = copies ? this.#context.arena.real(this.#staging) : 0;
    let left = count * PAGE_BYTES;
    let retries = 0;
    while (left > 0) {
      let done = copies ? uffd.copy(at, source, left) : uffd.continue(at, left);
      if (done < 0) {
        switch (-done) {
          case EEXIST:
            record[W_EEXIST] = record[W_EEXIST]! + 1;
            // Only this worker installs the page. Mapped already, it is the page that was built; but a copy that finds one has been shut
            // out by foreign contents.
            if (copies) throw installError(page, EEXIST, 'the memfd holds a page that nobody installed');
            uffd.wake(at, PAGE_BYTES);
            done = PAGE_BYTES;
            break;
          case EAGAIN:
            record[W_EAGAIN] = record[W_EAGAIN]! + 1;
            if (++retries > EAGAIN_LIMIT)
              throw installError(page, -done, 'the mappings of the process never settled');
            continue;
          case EFAULT:
            throw installError(
              page,
              -done,
              'a page that was just built is not in the memfd: somebody released to-space',
            );
          case ENOENT:
            // A page that was free when the window opened is not waited for at its close. Whoever touched it was woken by that.
            if (page >= this.#nonMovingPage && Atomics.load(control, CTL_NON_MOVING_CLOSING) !== 0) {
              done = PAGE_BYTES;
              break;
            }
            throw installError(
              page,
              -done,
              'the heap window is not registered while a page is being installed',
            );
          default:
            throw installError(page, -done, 'the kernel refused to install a page');
        }
      }
      at += done;
      source += done;
      left -= done;
    }
  }
}

function installError(page: number, errno: number, why: string): TospaceError {
  return new TospaceError('ERR_SYSCALL', `installing to-space page ${page}: ${why}`, {
    syscall: 'ioctl',
    errno,
    errnoName: errnoName(errno),
    hint: 'With ENOMEM or ENOSPC raise the memory limit of the process or of its control group; otherwise report this as a defect.',
  });
}
