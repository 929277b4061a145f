// Scenarios of mremap that could take the process with them: special mappings, and a limited address space.
import { readFileSync } from 'node:fs';
import {
  addressOf,
  check,
  createLibcKernel,
  errnoName,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  RLIMIT_AS,
  SYS_PRLIMIT64,
  viewOf,
} from '#src/uffd/index.js';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const MIB = 1024 * 1024;
const MOVE = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
const answer = (result) => (result >= 0 ? 'ok' : errnoName(result));

const scenarios = {
  'special-mappings': () => {
    const found = [];
    let header;
    for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
      header = /^([0-9a-f]+)-([0-9a-f]+) .*(\[v(?:dso|var).*\])$/.exec(line) ?? header;
      if (header === undefined || !line.startsWith('VmFlags:')) continue;
      const [start, end] = [1, 2].map((i) => Number.parseInt(header[i], 16));
      found.push({ name: header[3], start, bytes: end - start, flags: line.trim().split(/\s+/).slice(1) });
      header = undefined;
    }
    return found.map(({ name, start, bytes, flags }) => ({
      name,
      flags,
      dontunmap: answer(kernel.mremap(start, bytes, bytes, MOVE, 0)),
      mirror: answer(kernel.mremap(start, 0, bytes, MREMAP_MAYMOVE, 0)),
      grow: answer(kernel.mremap(start, bytes, bytes + PAGE, MREMAP_MAYMOVE, 0)),
      // The clock is read through them.
      alive: process.hrtime.bigint() > 0n,
    }));
  },

  'address-space-limit': () => {
    const bytes = 256 * MIB;
    const place = Reservation.reserve(kernel, bytes);
    const second = Reservation.reserve(kernel, bytes);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const memory = check(kernel.mmap(0, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), 'mmap', 'mapping');
    new Uint8Array(viewOf(memory, PAGE)).fill(97);
    const old = new BigUint64Array(2);
    const prlimit = (set, get) =>
      check(kernel.syscall(SYS_PRLIMIT64, 0, RLIMIT_AS, set, get), 'prlimit64', 'limiting the address space');
    prlimit(0, addressOf(old));
    const size = /^VmSize:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))[1] * 1024;
    // Room for the engine, but not for a second copy.
    const limit = new BigUint64Array([BigInt(size + 64 * MIB), old[1]]);
    prlimit(addressOf(limit), 0);
    const dontunmap = kernel.mremap(memory, bytes, bytes, MOVE, 0);
    const plain = kernel.mremap(memory, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place.address);
    // The reservation that is replaced is unmapped before the limit is looked at.
    const over = kernel.mremap(place.address, bytes, bytes, MOVE | MREMAP_FIXED, second.address);
    prlimit(addressOf(old), 0);
    return {
      dontunmap: answer(dontunmap),
      plain: answer(plain),
      dontunmapOverReservation: answer(over),
      value: over < 0 ? -1 : new Uint8Array(viewOf(over, 1))[0],
    };
  },
};

process.stdout.write(`${JSON.stringify(scenarios[process.argv[2]]())}\n`);
