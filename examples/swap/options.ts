// The options of the example and of runSwap, read and checked in one place.
import { tmpdir } from 'node:os';
import { TospaceError } from 'tospace/uffd';
import { readArguments } from '../support/command.ts';
import { readSize } from '../support/sizes.ts';
import { CODEC_NAMES, type CodecName, defaultCodec } from './codec.ts';

export interface SwapOptions {
  /** Bytes of private anonymous memory, a multiple of `regionBytes`; 0 for none. */
  readonly anonBytes: number;
  /** Bytes of shared memory (a memfd), a multiple of `regionBytes`; 0 for none. */
  readonly shmemBytes: number;
  /** Bytes of both together that should stay in memory, at least four regions. */
  readonly residentBytes: number;
  /** What is evicted and loaded at a time: a power of two from one page to 4 MiB. */
  readonly regionBytes: number;
  /** How long mutators run, in seconds, before everything is read once more. */
  readonly seconds: number;
  /** Of contents and accesses, a 32-bit integer. */
  readonly seed: number;
  readonly codec: CodecName;
  /** Where the nameless swap file is made. */
  readonly directory: string;
  /** An existing empty file or a device instead of it. */
  readonly file: string | undefined;
  /** The swap file may not grow beyond this. */
  readonly fileLimitBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const PAGE_BYTES = 4096;
const REGION_BYTES_MAX = 4 * MIB;
const RESIDENT_REGIONS_MIN = 4;
/** One array buffer each. */
const ARENA_BYTES_MAX = 4 * 1024 * MIB;
const SECONDS_MAX = 24 * 3600;

export const DEFAULTS: SwapOptions = Object.freeze({
  anonBytes: 256 * MIB,
  shmemBytes: 256 * MIB,
  residentBytes: 64 * MIB,
  regionBytes: 64 * KIB,
  seconds: 20,
  seed: 1,
  codec: defaultCodec(),
  directory: tmpdir(),
  file: undefined,
  fileLimitBytes: Number.MAX_SAFE_INTEGER,
});

export const USAGE: string = `npm run example swap [-- OPTIONS]
  --anon SIZE         private anonymous memory (default 256MiB)
  --shmem SIZE        shared memory (default 256MiB)
  --resident SIZE     what should stay in memory of both (default 64MiB)
  --region SIZE       what is evicted and loaded at a time, a power of two (default 64KiB)
  --seconds N         how long (default 20)
  --seed N            of contents and accesses (default 1)
  --codec NAME        ${CODEC_NAMES.join(', ')} (default here: ${DEFAULTS.codec})
  --directory PATH    where the swap file is made, without a name (default: the system's temporary directory)
  --file PATH         an existing empty file or a device instead; /dev/full shows what a full disk does
  --file-limit SIZE   the swap file may not grow beyond this
  --json              one JSON document on standard output, no progress
`;

/** Options of a command line. @throws TospaceError `ERR_OPTION` */
export function parseOptions(args: readonly string[]): {
  options: SwapOptions;
  json: boolean;
  help: boolean;
} {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const values: Record<string, string | boolean | undefined> = readArguments(
    {
      anon: text,
      shmem: text,
      resident: text,
      region: text,
      seconds: text,
      seed: text,
      codec: text,
      directory: text,
      file: text,
      'file-limit': text,
      json: flag,
      help: flag,
    },
    USAGE,
    args,
  );
  const bytes = (name: string, fallback: number): number =>
    values[name] === undefined ? fallback : readSize(`--${name}`, String(values[name]));
  const number = (name: string, fallback: number): number =>
    values[name] === undefined ? fallback : Number(values[name]);
  const options: SwapOptions = {
    anonBytes: bytes('anon', DEFAULTS.anonBytes),
    shmemBytes: bytes('shmem', DEFAULTS.shmemBytes),
    residentBytes: bytes('resident', DEFAULTS.residentBytes),
    regionBytes: bytes('region', DEFAULTS.regionBytes),
    seconds: number('seconds', DEFAULTS.seconds),
    seed: number('seed', DEFAULTS.seed),
    codec: (values.codec ?? DEFAULTS.codec) as CodecName,
    directory: String(values.directory ?? DEFAULTS.directory),
    file: values.file === undefined ? undefined : String(values.file),
    fileLimitBytes: bytes('file-limit', DEFAULTS.fileLimitBytes),
  };
  return { options: checkOptions(options), json: values.json === true, help: values.help === true };
}

/** @throws TospaceError `ERR_OPTION`, naming the option */
export function checkOptions(options: SwapOptions): SwapOptions {
  const { anonBytes, shmemBytes, residentBytes, regionBytes, seconds, seed, codec, fileLimitBytes } = options;
  const require = (holds: boolean, message: string): void => {
    if (!holds) throw new TospaceError('ERR_OPTION', message);
  };
  require(Number.isInteger(Math.log2(regionBytes)) &&
    regionBytes >= PAGE_BYTES &&
    regionBytes <=
      REGION_BYTES_MAX, `region must be a power of two from ${PAGE_BYTES} to ${REGION_BYTES_MAX} bytes, not ${regionBytes}`);
  for (const [name, value] of Object.entries({ anon: anonBytes, shmem: shmemBytes })) {
    require(Number.isSafeInteger(value) &&
      value >= 0 &&
      value % regionBytes === 0 &&
      value <=
        ARENA_BYTES_MAX, `${name} must be a multiple of the region size (${regionBytes}) of at most 4 GiB, not ${value}`);
  }
  require(anonBytes + shmemBytes > 0, 'anon and shmem must not both be 0');
  require(residentBytes >=
    RESIDENT_REGIONS_MIN *
      regionBytes, `resident must be at least ${RESIDENT_REGIONS_MIN} regions (${RESIDENT_REGIONS_MIN * regionBytes} bytes), not ${residentBytes}`);
  require(seconds > 0 &&
    seconds <= SECONDS_MAX, `seconds must be more than 0, at most ${SECONDS_MAX}, not ${seconds}`);
  require(Number.isInteger(seed) &&
    Math.abs(seed) < 2 ** 32, `seed must be an integer of 32 bits, not ${seed}`);
  require(CODEC_NAMES.includes(codec), `codec must be one of ${CODEC_NAMES.join(', ')}, not ${codec}`);
  require(fileLimitBytes >= 0, `file-limit must not be negative: ${fileLimitBytes}`);
  return options;
}
