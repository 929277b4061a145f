// Compressors for slots, all from Node's own zlib, each at the level that the measurements in README.md chose.
import zlib from 'node:zlib';
import { TospaceError } from 'tospace/uffd';

export type CodecName = 'zstd' | 'brotli' | 'deflate' | 'none';

/** Both directions work on memory of their own: never hand them registered memory, a system call may be behind them. */
export interface Codec {
  readonly name: CodecName;
  compress(raw: Uint8Array): Uint8Array;
  /** @throws whatever the library does for a damaged stream */
  decompress(stored: Uint8Array, rawBytes: number): Uint8Array;
}

type ZstdFunction = (data: Uint8Array, options: object) => Buffer;
/** zstd came with Node 22.15 and 23.8; the types of Node 20 do not know it. */
const { zstdCompressSync, zstdDecompressSync } = zlib as {
  zstdCompressSync?: ZstdFunction;
  zstdDecompressSync?: ZstdFunction;
};

const BROTLI_FASTEST = { [zlib.constants.BROTLI_PARAM_QUALITY]: 0 };
const DEFLATE_FASTEST = 1;

/** One output chunk as large as the result is allocated once; smaller ones would be gathered and copied. */
const CODECS: Readonly<Record<CodecName, () => Codec | undefined>> = {
  zstd: () =>
    zstdCompressSync && zstdDecompressSync
      ? {
          name: 'zstd',
          // Without options it is level 3 of the library: its usual compromise.
          compress: (raw) => zstdCompressSync(raw, { chunkSize: raw.byteLength }),
          decompress: (stored, rawBytes) => zstdDecompressSync(stored, { chunkSize: rawBytes }),
        }
      : undefined,
  brotli: () => ({
    name: 'brotli',
    compress: (raw) => zlib.brotliCompressSync(raw, { chunkSize: raw.byteLength, params: BROTLI_FASTEST }),
    decompress: (stored, rawBytes) => zlib.brotliDecompressSync(stored, { chunkSize: rawBytes }),
  }),
  deflate: () => ({
    name: 'deflate',
    compress: (raw) => zlib.deflateRawSync(raw, { chunkSize: raw.byteLength, level: DEFLATE_FASTEST }),
    decompress: (stored, rawBytes) => zlib.inflateRawSync(stored, { chunkSize: rawBytes }),
  }),
  none: () => ({ name: 'none', compress: (raw) => raw, decompress: (stored) => stored }),
};

export const CODEC_NAMES: readonly CodecName[] = Object.keys(CODECS) as CodecName[];

/** The codec for `--codec auto`: zstd where Node has it, else brotli at its fastest. */
export function defaultCodec(): CodecName {
  return CODECS.zstd() === undefined ? 'brotli' : 'zstd';
}

/** @throws TospaceError `ERR_UNSUPPORTED` for one that this Node does not have */
export function createCodec(name: CodecName): Codec {
  const codec = CODECS[name]();
  if (codec === undefined) {
    throw new TospaceError('ERR_UNSUPPORTED', `this Node (${process.version}) has no ${name}`, {
      hint: 'zstd needs Node 22.15 or later: use that, or --codec brotli.',
    });
  }
  return codec;
}
