// Mark, plan and compact in C: the algorithms and data structures of src/gc/kernels, on the graph that kernels-child.ts builds, in the
// same memory layout (one 4 GiB memory whose windows are overlaid with two memfds, references of 32 bits, flips between cycles, so
// that the heap window's page tables are as cold at the start of marking as they are in the heap).
//
// kernels <local|scattered> <objects> <cycles> <heap MiB>
#include "common.h"

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

// The constants of src/heap/layout.ts.
#define PAGE_LOG2 12
#define GRANULE_LOG2 3
#define CHUNK_LOG2 9
#define CARD_LOG2 7
#define BUFFER_BYTES 65536u
#define HEADER_BYTES 8u
#define TYPE_ID_MASK 0xffffu
#define KIND_RECORD 1u
#define KIND_REF_ARRAY 2u
#define CARD_DIRTY 1
#define WORDWISE_BYTES 128u

/** Cycles until the pages of both memfds are allocated and mapped. */
#define WARM_UP 2
#define NODE_BYTES 24u
#define NODE_TYPE 1u
#define HEAP ((u32)GIB)

struct type {
  u32 kind, size, map, map_words;
};

static u8 *mem;
static u32 heap_bytes;
static u64 *marks, *lives, *maps;
static u32 *chunks, *page_words, *page_first, *page_source, *stack, *stack_end, *top;
static u8 *cards;
static struct type *types;
static u32 overflows;
static u32 cursor, from_alias, to_alias, black_offset, black_delta, compacted_bytes;

static inline u32 load32(u32 at) { return *(u32 *)(mem + at); }
static inline void store32(u32 at, u32 v) { *(u32 *)(mem + at) = v; }
static inline u64 load64(u32 at) { return *(u64 *)(mem + at); }
static inline void store64(u32 at, u64 v) { *(u64 *)(mem + at) = v; }
static inline const struct type *type_of(u32 header) { return &types[load32(header) & TYPE_ID_MASK]; }
static inline u32 array_bytes(u32 length, u32 log2) { return (HEADER_BYTES + (length << log2) + 7) & ~7u; }
static inline u32 size_of(u32 header, const struct type *type) {
  return type->kind == KIND_RECORD ? type->size : array_bytes(load32(header + 4), type->size);
}

// ---- mark ----------------------------------------------------------------------------------------------------------------

static void mark_begin(u32 end) {
  top = stack;
  overflows = 0;
  const size_t bytes = (size_t)((end - HEAP + (1u << CHUNK_LOG2) - 1) >> CHUNK_LOG2) * 8;
  memset(marks, 0, bytes);
  memset(lives, 0, bytes);
  memset(cards, 0, heap_bytes >> CARD_LOG2);
}

static __attribute__((noinline)) void overflow(u32 ref) {
  overflows++;
  const u32 offset = ref - HEAP, last = (offset + size_of(ref, type_of(ref)) - 1) >> CARD_LOG2;
  for (u32 card = offset >> CARD_LOG2; card <= last; card++) cards[card] = CARD_DIRTY;
}

static inline void visit(u32 ref) {
  const u32 offset = ref - HEAP;
  if (offset >= heap_bytes) return;
  u64 *word = &marks[offset >> CHUNK_LOG2];
  const u64 bit = 1ull << (offset >> GRANULE_LOG2 & 63);
  const u64 old = *word;
  if (old & bit) return;
  *word = old | bit;
  if (top < stack_end)
    *top++ = ref;
  else
    overflow(ref);
}

static __attribute__((noinline)) void set_long_lives(u64 *word, u32 shift, u32 count) {
  *word |= ~0ull << shift;
  u32 left = count - (64 - shift);
  for (word++; left >= 64; left -= 64) *word++ = ~0ull;
  if (left) *word |= ~0ull >> (64 - left);
}

static inline void set_lives(u32 ref, u32 bytes) {
  const u32 first = (ref - HEAP) >> GRANULE_LOG2, count = bytes >> GRANULE_LOG2, shift = first & 63;
  u64 *word = &lives[first >> 6];
  if (shift + count <= 64)
    *word |= ~0ull >> (64 - count) << shift;
  else
    set_long_lives(word, shift, count);
}

static void mark_drain(void) {
  while (top > stack) {
    const u32 ref = *--top;
    const struct type *type = type_of(ref);
    const u32 size = type->size;
    if (type->kind == KIND_RECORD) {
      set_lives(ref, size);
      const u64 *map = &maps[type->map], *end = map + type->map_words;
      for (u32 base = ref; map < end; map++, base += 256)
        for (u64 bits = *map; bits; bits &= bits - 1) visit(load32(base + ((u32)__builtin_ctzll(bits) << 2)));
    } else {
      const u32 length = load32(ref + 4);
      set_lives(ref, array_bytes(length, size));
      if (type->kind == KIND_REF_ARRAY) {
        const u32 end = ref + HEADER_BYTES + (length << 2);
        for (u32 slot = ref + HEADER_BYTES; slot < end; slot += 4) visit(load32(slot));
      }
    }
  }
}

/** Cards below `end` that are dirty: none, unless the mark stack overflowed. 64 at a time, as the kernels do. */
static u32 dirty_cards(u32 end) {
  const u32 count = (end - HEAP + (1u << CARD_LOG2) - 1) >> CARD_LOG2;
  u32 dirty = 0;
  for (u32 group = 0; group < count; group += 64) {
    const u64 *words = (const u64 *)(cards + group);
    if ((words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7]) == 0) continue;
    for (u32 i = 0; i < 64; i++) dirty += cards[group + i] == CARD_DIRTY;
  }
  return dirty;
}

static void mark(u32 root) {
  mark_begin(cursor);
  visit(root);
  mark_drain();
  if (dirty_cards(cursor) != 0) {
    fprintf(stderr, "the mark stack overflowed %u times\n", overflows);
    exit(1);
  }
}

// ---- plan ----------------------------------------------------------------------------------------------------------------

static u32 select_bit(u64 bits, u32 rank) {
  for (; rank > 0; rank--) bits &= bits - 1;
  return (u32)__builtin_ctzll(bits);
}

static void plan(void) {
  u32 to = HEAP, boundary = HEAP, last_start = 0, known = 0;
  const u64 *word = lives;
  u32 *entry = chunks;
  for (u32 address = HEAP; address < cursor; address += 4096, word += 8, entry += 8) {
    for (u32 i = 0; i < 8; i++) {
      entry[i] = to;
      to += (u32)__builtin_popcountll(word[i]) << GRANULE_LOG2;
    }
    if (to <= boundary) continue;
    u32 i = 0;
    while (i < 7 && entry[i + 1] <= boundary) i++;
    const u32 bit = select_bit(word[i], (boundary - entry[i]) >> GRANULE_LOG2);
    const u32 chunk = ((address - HEAP) >> CHUNK_LOG2) + i;
    const u64 starts = marks[chunk] & (~0ull >> (63 - bit));
    u32 first;
    if (starts) {
      first = HEAP + (chunk << CHUNK_LOG2) + ((63u - (u32)__builtin_clzll(starts)) << GRANULE_LOG2);
    } else {
      for (u32 back = chunk; back > known;) {
        const u64 before = marks[--back];
        if (before) {
          last_start = HEAP + (back << CHUNK_LOG2) + ((63u - (u32)__builtin_clzll(before)) << GRANULE_LOG2);
          break;
        }
      }
      known = chunk;
      first = last_start;
    }
    const u32 page = (boundary - HEAP) >> PAGE_LOG2;
    page_source[page] = HEAP + (chunk << CHUNK_LOG2) + (bit << GRANULE_LOG2);
    page_first[page] = first;
    boundary += 4096;
  }
  compacted_bytes = to - HEAP;
  black_offset = cursor - HEAP;
  black_delta = cursor - HEAP - ((compacted_bytes + 4095) & ~4095u);
}

// ---- compact -------------------------------------------------------------------------------------------------------------

static inline u32 forward(u32 ref, u32 black, u32 delta) {
  const u32 offset = ref - HEAP;
  if (offset < black) {
    const u32 chunk = offset >> CHUNK_LOG2;
    const u64 below = lives[chunk] & ((1ull << (offset >> GRANULE_LOG2 & 63)) - 1);
    return chunks[chunk] + ((u32)__builtin_popcountll(below) << GRANULE_LOG2);
  }
  return offset < heap_bytes ? ref - delta : ref;
}

static __attribute__((noinline)) u32 next_live_chunk(u32 chunk) {
  while (!lives[chunk]) chunk++;
  return HEAP + (chunk << CHUNK_LOG2) + ((u32)__builtin_ctzll(lives[chunk]) << GRANULE_LOG2);
}

static inline u32 next_live(u32 ref) {
  const u32 granule = (ref - HEAP) >> GRANULE_LOG2;
  const u64 bits = lives[granule >> 6] >> (granule & 63);
  if (bits & 1) return ref;
  if (bits) return ref + ((u32)__builtin_ctzll(bits) << GRANULE_LOG2);
  return next_live_chunk((granule >> 6) + 1);
}

static __attribute__((noinline)) void fix_clipped(u32 source, const struct type *type, u32 target, u32 begin, u32 end, u32 black, u32 delta) {
  if (type->kind == KIND_REF_ARRAY) {
    u32 byte = begin > HEADER_BYTES ? begin : HEADER_BYTES;
    const u32 bytes = HEADER_BYTES + (load32(source + 4) << 2), last = end < bytes ? end : bytes;
    for (; byte < last; byte += 4) store32(target + byte, forward(load32(target + byte), black, delta));
  } else if (type->kind == KIND_RECORD) {
    for (u32 word = begin >> 8; word < type->map_words; word++) {
      const u32 base = word << 8;
      if (base >= end) return;
      for (u64 bits = maps[type->map + word]; bits; bits &= bits - 1) {
        const u32 byte = base + ((u32)__builtin_ctzll(bits) << 2);
        if (byte >= begin && byte < end) store32(target + byte, forward(load32(target + byte), black, delta));
      }
    }
  }
}

/** Builds the compacted bytes [0, high) of to-space; the last page ends in zeroes. */
static void compact(void) {
  const u32 low = 0, high = compacted_bytes, destination = to_alias, black = black_offset, delta = black_delta;
  const u32 bias = from_alias - HEAP;
  if (high == 0) return;
  u32 ref = page_first[0];
  u32 at = low - (page_source[0] - ref);
  for (;;) {
    const u32 source = ref + bias;
    const struct type *type = type_of(source);
    const u32 kind = type->kind;
    u32 bytes = type->size;
    if (kind != KIND_RECORD) bytes = array_bytes(load32(source + 4), bytes);
    if ((int32_t)(at - low) >= 0 && at + bytes <= high) {
      const u32 target = destination + (at - low);
      if (bytes <= WORDWISE_BYTES) {
        store64(target, load64(source));
        if (bytes > 8) {
          store64(target + 8, load64(source + 8));
          if (bytes > 16) {
            store64(target + 16, load64(source + 16));
            for (u32 i = 24; i < bytes; i += 8) store64(target + i, load64(source + i));
          }
        }
      } else {
        memcpy(mem + target, mem + source, bytes);
      }
      if (kind == KIND_RECORD) {
        if (type->map_words == 1) {
          u64 bits = maps[type->map];
          do {
            const u32 slot = target + ((u32)__builtin_ctzll(bits) << 2);
            store32(slot, forward(load32(slot), black, delta));
            bits &= bits - 1;
          } while (bits);
        } else if (type->map_words > 1) {
          fix_clipped(source, type, target, 0, bytes, black, delta);
        }
      } else if (kind == KIND_REF_ARRAY) {
        const u32 end = target + HEADER_BYTES + (load32(source + 4) << 2);
        for (u32 slot = target + HEADER_BYTES; slot < end; slot += 4) store32(slot, forward(load32(slot), black, delta));
      }
    } else {
      const u32 begin = (int32_t)(at - low) < 0 ? low - at : 0, end = bytes < high - at ? bytes : high - at;
      memcpy(mem + destination + (at + begin - low), mem + source + begin, end - begin);
      fix_clipped(source, type, destination - low + at, begin, end, black, delta);
    }
    at += bytes;
    if ((int32_t)(at - high) >= 0) break;
    ref = next_live(ref + bytes);
  }
  const u32 page_end = (high + 4095) & ~4095u;
  memset(mem + destination + high, 0, page_end - high);
}

// ---- the graph (kernels-child.ts) -----------------------------------------------------------------------------------------

static u32 seed = 0x9e3779b9u;
static u32 random_below(u32 n) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed % n;
}

/** Builds the graph as an allocator with buffers of 64 KiB lays it out; returns the root. */
static u32 build(int scattered, u32 n) {
  u32 *object = malloc((size_t)n * 4), *order = malloc((size_t)n * 4);
  if (!object || !order) fail("malloc");
  u32 at = HEAP, limit = HEAP;
  for (u32 i = 0; i < n; i++) {
    if (at + NODE_BYTES > limit) {
      at = limit;
      limit += BUFFER_BYTES;
    }
    object[i] = at;
    store32(at, NODE_TYPE);
    store32(at + 16, i);
    store32(at + 20, ~i);
    at += NODE_BYTES;
    order[i] = i;
  }
  cursor = limit;
  if (scattered)
    for (u32 k = n - 1; k > 1; k--) {
      // The root stays first.
      const u32 j = 1 + random_below(k), t = order[k];
      order[k] = order[j];
      order[j] = t;
    }
  for (u32 k = 0; k < n; k++) {
    const u32 ref = object[order[k]];
    store32(ref + 8, k + 1 < n ? object[order[k + 1]] : 0);
    u32 to = random_below(scattered ? n : 64);
    if (!scattered) to = k + to < 32 ? 0 : k + to - 32 >= n ? n - 1 : k + to - 32;
    store32(ref + 12, object[to]);
  }
  const u32 root = object[0];
  free(object);
  free(order);
  return root;
}

/** All objects are live and lie behind each other in the order of their allocation. */
static u32 checksum(u32 root, u32 n) {
  u32 sum = 0;
  for (u32 i = 0; i < n; i++) {
    const u32 ref = root + i * NODE_BYTES;
    const u32 left = load32(ref + 8), right = load32(ref + 12);
    if ((load32(ref) & TYPE_ID_MASK) != NODE_TYPE || load32(ref + 16) != i || load32(ref + 20) != ~i) return 0;
    sum = sum * 31 + ((left ? left - root : 1) ^ ((right - root) << 1));
  }
  return sum;
}

static void *place(size_t *next, size_t bytes) {
  u8 *at = mem + *next;
  *next += (bytes + 4095) & ~4095ul;
  return at;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  const int scattered = strcmp(argv[1], "scattered") == 0;
  const u32 n = (u32)atol(argv[2]);
  const int cycles = atoi(argv[3]) + WARM_UP;
  heap_bytes = (u32)(atol(argv[4]) * MIB);

  mem = reserve(4 * GIB, PROT_READ | PROT_WRITE);
  u8 *attic = reserve(GIB, PROT_NONE);
  const u32 aliases[2] = {2 * HEAP, 3 * HEAP};
  int fd[2] = {create_memfd("floor-a", GIB), create_memfd("floor-b", GIB)};
  map_shared(mem + HEAP, GIB, fd[0]);
  map_shared(mem + aliases[0], GIB, fd[0]);
  map_shared(mem + aliases[1], GIB, fd[1]);
  size_t next = 65536;
  const size_t chunk_count = heap_bytes / 512 + 8, pages = heap_bytes / 4096 + 1;
  size_t entries = heap_bytes / 64;
  if (entries > 4 * MIB) entries = 4 * MIB;
  types = place(&next, 65536 * sizeof *types);
  maps = place(&next, MIB);
  marks = place(&next, chunk_count * 8);
  lives = place(&next, chunk_count * 8);
  chunks = place(&next, chunk_count * 4);
  cards = place(&next, (heap_bytes >> CARD_LOG2) + 64);
  page_words = place(&next, pages * 4);
  page_first = place(&next, pages * 4);
  page_source = place(&next, pages * 4);
  stack = place(&next, entries * 4);
  stack_end = stack + entries;
  types[NODE_TYPE] = (struct type){.kind = KIND_RECORD, .size = NODE_BYTES, .map = 0, .map_words = 1};
  maps[0] = 1 << 2 | 1 << 3;

  u32 root = build(scattered, n);
  int front = 0;
  double *mark_ms = calloc((size_t)cycles, sizeof(double)), *plan_ms = calloc((size_t)cycles, sizeof(double)),
         *compact_ms = calloc((size_t)cycles, sizeof(double));
  if (!mark_ms || !plan_ms || !compact_ms) fail("malloc");
  u64 marked = 0;
  for (int cycle = 0; cycle < cycles; cycle++) {
    const double t0 = now_us();
    mark(root);
    const double t1 = now_us();
    plan();
    const double t2 = now_us();
    const u32 used_before = cursor - HEAP;
    if (mremap(mem + HEAP, GIB, GIB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, attic) == MAP_FAILED) fail("mremap");
    map_shared(mem + HEAP, GIB, fd[1 - front]);
    from_alias = aliases[front];
    front = 1 - front;
    to_alias = aliases[front];
    root = forward(root, black_offset, black_delta);
    const double t3 = now_us();
    compact();
    const double t4 = now_us();
    cursor = HEAP + ((compacted_bytes + 4095) & ~4095u);
    marked = 0;
    for (u32 chunk = 0; chunk < used_before >> CHUNK_LOG2; chunk++) marked += (u64)__builtin_popcountll(marks[chunk]);
    mark_ms[cycle] = (t1 - t0) / 1e3;
    plan_ms[cycle] = (t2 - t1) / 1e3;
    compact_ms[cycle] = (t4 - t3) / 1e3;
    if (madvise(attic, used_before, MADV_DONTNEED) < 0) fail("madvise");
    reset_reservation(attic, GIB);
  }
  printf("{\"objects\":%llu,\"liveBytes\":%u,\"checksum\":%u,", (unsigned long long)marked, compacted_bytes, checksum(root, n));
  print_array("markMs", mark_ms + WARM_UP, (size_t)(cycles - WARM_UP), ",");
  print_array("planMs", plan_ms + WARM_UP, (size_t)(cycles - WARM_UP), ",");
  print_array("compactMs", compact_ms + WARM_UP, (size_t)(cycles - WARM_UP), "}\n");
  return 0;
}
