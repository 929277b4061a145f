// Touches memory once and ends: a host that gives a virtual machine its memory at the first touch has done so then, and no measurement
// pays for it (10 µs a page on one machine; a page that was touched before costs a tenth).
//
// pretouch <bytes>

const CHUNK_BYTES = 64 * 2 ** 20;
const PAGE_BYTES = 4096;

const bytes = Number(process.argv[2]);
const chunks: Uint8Array[] = [];
for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, left));
  for (let at = 0; at < chunk.length; at += PAGE_BYTES) chunk[at] = 1;
  chunks.push(chunk);
}
