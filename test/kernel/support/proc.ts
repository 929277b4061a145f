// What /proc says about this process and its mappings. The parsers take the text, so that a scenario in another process can
// send what it read.
import { readFileSync } from 'node:fs';

/** One mapping, as /proc/PID/smaps describes it. */
export interface Mapping {
  readonly start: number;
  /** First byte behind. */
  readonly end: number;
  /** `rw-p`, `r--s` … */
  readonly permissions: string;
  /** Byte offset in the file. */
  readonly offset: number;
  /** Path or `[vdso]` …; empty for anonymous memory. */
  readonly name: string;
  /** The two-letter codes of the VmFlags line: see VM_FLAG_* in abi.ts. */
  readonly flags: ReadonlySet<string>;
  /** A field in bytes: `Rss`, `Locked`, `ShmemPmdMapped` … Throws if the kernel does not report it. */
  bytesOf(field: string): number;
}

const HEADER = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s*(.*)$/;

function kibibytes(value: string | undefined, field: string): number {
  const number = Number.parseInt(value ?? '', 10);
  if (Number.isNaN(number)) throw new Error(`the kernel reports no ${field}`);
  return number;
}

/** All mappings of a text of /proc/PID/smaps, ascending; also of /proc/PID/maps, then without fields and flags. */
export function parseMappings(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  let fields = new Map<string, string>();
  let flags = new Set<string>();
  for (const line of text.split('\n')) {
    const header = HEADER.exec(line);
    if (header === null) {
      const colon = line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
      if (line.startsWith('VmFlags:')) for (const flag of line.trim().split(/\s+/).slice(1)) flags.add(flag);
      continue;
    }
    // The lines that follow a header fill these two.
    const ownFields = new Map<string, string>();
    fields = ownFields;
    flags = new Set();
    mappings.push({
      start: Number.parseInt(header[1]!, 16),
      end: Number.parseInt(header[2]!, 16),
      permissions: header[3]!,
      offset: Number.parseInt(header[4]!, 16),
      name: header[5]!,
      flags,
      bytesOf: (field) => kibibytes(ownFields.get(field), field) * 1024,
    });
  }
  return mappings;
}

/** The mapping of this process that contains `address`; undefined when nothing is mapped there. */
export function mappingAt(address: number): Mapping | undefined {
  return mappingsIn(address, address + 1)[0];
}

/** The mappings of this process that overlap a range, ascending. */
export function mappingsIn(start: number, end: number): Mapping[] {
  return parseMappings(readFileSync('/proc/self/smaps', 'utf8')).filter(
    (mapping) => mapping.start < end && start < mapping.end,
  );
}

/** A field in kB of a `Name:   123 kB` text, in **bytes**. Throws if there is none. */
export function parseField(text: string, field: string): number {
  return kibibytes(new RegExp(`^${field}:(.*)$`, 'm').exec(text)?.[1], field) * 1024;
}

/** A field of /proc/self/status in bytes: `VmRSS`, `VmSize`, `VmLck` … */
export function statusBytes(field: string): number {
  return parseField(readFileSync('/proc/self/status', 'utf8'), field);
}

/** A field of /proc/meminfo in bytes: `Committed_AS` … Of the whole machine: other processes change it at any time. */
export function meminfoBytes(field: string): number {
  return parseField(readFileSync('/proc/meminfo', 'utf8'), field);
}
