// Checksum and generator, the same in every language: bench/workloads/README.md.
#ifndef WORDS_H
#define WORDS_H
#include <math.h>
#include <stdint.h>

#define CHECKSUM_START 0x811c9dc5u

/** FNV-1a over 32-bit words. */
static inline uint32_t checksum_add(uint32_t checksum, uint32_t word) {
  return (checksum ^ word) * 0x01000193u;
}

/** Scatters the bits of a word. */
static inline uint32_t mix(uint32_t word) {
  uint32_t h = word;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

/** mulberry32; the state begins as the seed. */
struct random {
  uint32_t state;
};

static inline uint32_t random_next(struct random *random) {
  uint32_t t = random->state += 0x6d2b79f5u;
  t = (t ^ (t >> 15)) * (t | 1);
  t ^= t + (t ^ (t >> 7)) * (t | 61);
  return t ^ (t >> 14);
}

/** From 0 up to, not including, 1. */
static inline double random_unit(struct random *random) {
  return random_next(random) / 4294967296.0;
}

/** From 0 up to, not including, `limit`. */
static inline uint32_t random_below(struct random *random, uint32_t limit) {
  return (uint32_t)floor(random_unit(random) * limit);
}

#endif
