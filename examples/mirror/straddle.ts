// A record that begins before the end of the ring and ends after its beginning, read as one piece.
import { type Kernel, viewOf } from 'tospace/uffd';
import { Mirrored, type Way } from './places.ts';

const RECORD = 'this record begins at the end of the ring and ends at its beginning';
/** Bytes of it before the end. */
const BEFORE_END = 24;

export interface Straddle {
  readonly written: string;
  /** What one view of the bytes from the record's place on says. */
  readonly readAsOneView: string;
  /** What lies at the end and at the beginning of the ring itself. */
  readonly atTheEnd: string;
  readonly atTheBeginning: string;
}

export function showStraddle(kernel: Kernel, way: Way): Straddle {
  using memory = Mirrored.create(kernel, kernel.getpagesize());
  memory.mirror(way);
  const ring = Buffer.from(viewOf(memory.address, 2 * memory.bytes));
  const start = memory.bytes - BEFORE_END;
  const length = ring.write(RECORD, start, 'latin1');
  const text = (from: number, to: number): string => ring.toString('latin1', from, to);
  return {
    written: RECORD,
    readAsOneView: text(start, start + length),
    atTheEnd: text(start, memory.bytes),
    atTheBeginning: text(0, length - BEFORE_END),
  };
}
