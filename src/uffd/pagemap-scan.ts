// Which pages of a range were written, present, huge …: ioctl(PAGEMAP_SCAN) of /proc/self/pagemap, Linux 6.7.
//
// struct pm_scan_arg, 12 words of 64 bits:            struct page_region, 3 words:
//    0 size            bytes of this structure (96)      0 start       address
//    1 flags           PM_SCAN_*                         1 end         address behind it
//    2 start           address, page-aligned             2 categories  PAGE_IS_*, those of `report`
//    3 end             address behind the range
//    4 walk_end        out: how far the scan came
//    5 vec             address of page_region[]
//    6 vec_len         its length in regions
//    7 max_pages       stop after so many, 0: no limit
//    8 category_inverted   ┐ a page matches if, with the bits of category_inverted flipped, it has all of category_mask
//    9 category_mask       │ and any of category_anyof_mask (if that is not 0)
//   10 category_anyof_mask ┘
//   11 return_mask     which PAGE_IS_* are reported; neighbours that are equal in these are one region
//
// With more than 512 regions the kernel (seen on 6.18) may leave walk_end at the last flush of a buffer of its own, although
// the whole range was scanned. So walk_end does not say whether a scan is complete: `resumeAt` does.
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import {
  O_CLOEXEC,
  O_RDONLY,
  PAGE_IS_WRITTEN,
  PAGEMAP_SCAN,
  PM_SCAN_ARG_WORDS,
  PM_SCAN_CHECK_WPASYNC,
  PM_SCAN_WP_MATCHING,
} from './abi.ts';
import { check } from './check.ts';
import type { Kernel } from './kernel.ts';
import { addressOf } from './libc.ts';

const PAGEMAP = '/proc/self/pagemap';
const TWO_32 = 0x1_0000_0000;
const REGION_WORDS = 3;

/** What {@link PagemapScan.scan} looks for. */
export interface PagemapScanOptions {
  /** PM_SCAN_* bits. Default 0. */
  readonly flags?: number;
  /** PAGE_IS_* bits that a page must all have. Default PAGE_IS_WRITTEN. */
  readonly mask?: number;
  /** PAGE_IS_* bits of which it must have one. Default 0: no condition. */
  readonly anyOf?: number;
  /** PAGE_IS_* bits that are flipped before `mask` and `anyOf` look: a page must then not have them. Default 0. */
  readonly inverted?: number;
  /** PAGE_IS_* bits to report. Default: those of `mask` and `anyOf`. */
  readonly report?: number;
  /** Stop when so many pages were reported. Default 0: only the capacity limits. */
  readonly pagesMax?: number;
}

const SCAN_KEYS: KeysOf<PagemapScanOptions> = {
  flags: true,
  mask: true,
  anyOf: true,
  inverted: true,
  report: true,
  pagesMax: true,
};

/** Scans page tables of this process. Holds the regions of its last scan. Not safe for use from two threads. */
export class PagemapScan implements Disposable {
  readonly #kernel: Kernel;
  readonly #args: BigUint64Array = new BigUint64Array(PM_SCAN_ARG_WORDS);
  readonly #halves: Uint32Array = new Uint32Array(this.#args.buffer);
  readonly #regions: Uint32Array;
  #fd: number;
  #resumeAt = 0;
  /** The most regions that one scan reports. */
  readonly capacity: number;

  private constructor(kernel: Kernel, fd: number, capacity: number) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.capacity = capacity;
    this.#regions = new Uint32Array(capacity * REGION_WORDS * 2);
  }

  /**
   * @param capacity regions per scan, at least 1
   * @throws TospaceError `ERR_OPTION` for a bad capacity; as {@link check} where /proc is not mounted
   */
  static open(kernel: Kernel, capacity: number = 512): PagemapScan {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new TospaceError('ERR_OPTION', `capacity must be an integer of at least 1, not ${capacity}`);
    const fd = check(kernel.openDevice(PAGEMAP, O_RDONLY | O_CLOEXEC), 'open', `opening ${PAGEMAP}`);
    return new PagemapScan(kernel, fd, capacity);
  }

  /**
   * Looks for the pages of a range that `options` describes. With PM_SCAN_WP_MATCHING it also write-protects the pages that it
   * reports, in the same step, so no store falls between. 0.3 ms per GiB when little was written, 10 ms when all was.
   * @param start page-aligned
   * @returns the number of regions found, or -errno: -EINVAL an option or address, -EPERM the range is not registered with
   *   WP_ASYNC and PM_SCAN_CHECK_WPASYNC is set, -ENOTTY before Linux 6.7, -EBADF after close
   */
  scan(start: number, length: number, options: PagemapScanOptions = {}): number {
    assertKeys('PagemapScan.scan', options, SCAN_KEYS);
    const { flags = 0, mask = PAGE_IS_WRITTEN, anyOf = 0, inverted = 0, pagesMax = 0 } = options;
    const { report = mask | anyOf } = options;
    const regions = addressOf(this.#regions);
    const end = start + length;
    const { capacity } = this;
    const condition = [inverted, mask, anyOf, report];
    const count = this.#ioctl(flags, start, end, 0, regions, capacity, pagesMax, ...condition);
    this.#resumeAt = end;
    let pages = 0;
    if (pagesMax > 0) for (let i = 0; i < count; i++) pages += this.end(i) - this.start(i);
    const stopped = count === capacity || (pagesMax > 0 && pages >= pagesMax * this.#kernel.getpagesize());
    if (stopped) this.#resumeAt = this.end(count - 1);
    return count;
  }

  /**
   * Write-protects every page of a range that is registered with MODE_WP under UFFD_FEATURE_WP_ASYNC, and reports nothing: the
   * beginning of a window of observation. Twice as fast as UFFDIO_WRITEPROTECT.
   * @returns 0 or -errno, as {@link scan}
   */
  protect(start: number, length: number): number {
    const flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
    const condition = [0, PAGE_IS_WRITTEN, 0, PAGE_IS_WRITTEN];
    return this.#ioctl(flags, start, start + length, 0, 0, 0, 0, ...condition);
  }

  /** First byte of region `i` of the last scan. */
  start(i: number): number {
    return wordAt(this.#regions, i * REGION_WORDS);
  }

  /** The byte behind region `i`. */
  end(i: number): number {
    return wordAt(this.#regions, i * REGION_WORDS + 1);
  }

  /** The PAGE_IS_* bits of all pages of region `i`, of those that were asked for in `report`. */
  categories(i: number): number {
    return wordAt(this.#regions, i * REGION_WORDS + 2);
  }

  /** Where to go on: the end of the last range if all of it was scanned, else the end of the last region that fitted. */
  get resumeAt(): number {
    return this.#resumeAt;
  }

  /** The kernel's own account of how far the last call came; may fall short, see the head of this file. */
  get walkEnd(): number {
    return wordAt(this.#halves, 4);
  }

  /** Idempotent, never throws. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) this.#kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `words` are those of struct pm_scan_arg behind `size`. */
  #ioctl(...words: readonly number[]): number {
    words = [PM_SCAN_ARG_WORDS * 8, ...words];
    for (let i = 0; i < PM_SCAN_ARG_WORDS; i++) {
      this.#halves[i * 2] = words[i]!;
      this.#halves[i * 2 + 1] = words[i]! / TWO_32;
    }
    return this.#kernel.ioctl(this.#fd, PAGEMAP_SCAN, this.#args);
  }
}

function wordAt(halves: Uint32Array, index: number): number {
  return halves[index * 2]! + halves[index * 2 + 1]! * TWO_32;
}
