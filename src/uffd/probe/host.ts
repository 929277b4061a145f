// What is read rather than tried: settings and limits that the kernel shows as files, and the clock. Behind an interface, so that a test can
// show what is reported under settings that it may not change, and of kernels that take other times.
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { arch, platform, release } from 'node:os';

export interface ProbeHost {
  readonly platform: string;
  readonly kernelVersion: string;
  /** The text of a file; undefined when it is not there or may not be read. */
  read(path: string): string | undefined;
  /** The number of entries of a folder; undefined when it cannot be listed. */
  count(path: string): number | undefined;
  /** access(2) for reading and writing: 0 or -errno. */
  access(path: string): number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

function orUndefined<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

export function systemHost(): ProbeHost {
  return {
    platform: `${platform()}-${arch()}`,
    kernelVersion: release(),
    now: () => performance.now(),
    read: (path) => orUndefined(() => readFileSync(path, 'utf8')),
    count: (path) => orUndefined(() => readdirSync(path).length),
    access(path) {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return 0;
      } catch (e) {
        // Node keeps errno negative already.
        return (e as NodeJS.ErrnoException).errno ?? -1;
      }
    },
  };
}

/** A line `name: value` of a file such as /proc/self/status. */
export function field(text: string | undefined, name: string): string | undefined {
  return text?.match(new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm'))?.[1];
}

/** A sysctl by its dotted name; undefined where this kernel has none of that name. */
export function sysctl(host: ProbeHost, name: string): string | undefined {
  return host.read(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim();
}

/** A line of /proc/meminfo, in bytes. */
export function memoryBytes(host: ProbeHost, name: string): number | undefined {
  const kib = Number.parseInt(field(host.read('/proc/meminfo'), name) ?? '', 10);
  return Number.isNaN(kib) ? undefined : kib * 1024;
}

/** A size in messages. */
export function size(bytes: number): string {
  for (const [unit, of] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= of) return `${Number((bytes / of).toFixed(1))} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** Bytes of the mapping that begins at an address that are mapped by huge entries; undefined when the kernel does not say. */
export function hugeBytesAt(host: ProbeHost, address: number): number | undefined {
  const smaps = host.read('/proc/self/smaps');
  const at = smaps?.search(new RegExp(`^0*${address.toString(16)}-`, 'm')) ?? -1;
  if (smaps === undefined || at < 0) return undefined;
  const kib = Number.parseInt(field(smaps.slice(at), 'ShmemPmdMapped') ?? '', 10);
  return Number.isNaN(kib) ? undefined : kib * 1024;
}
