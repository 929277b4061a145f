// What a workload is: a deterministic algorithm, specified in bench/workloads/README.md.
#ifndef WORKLOAD_H
#define WORKLOAD_H
// Before gc.h: it registers the threads that pthread_create makes.
#define GC_THREADS
#include "operations.h"
#include "words.h"
#include <gc/gc.h>
#include <stdbool.h>
#include <string.h>

/** What a thread that runs a workload is given. */
struct context {
  double scale;
  uint32_t seed;
  uint32_t thread;
  struct operations *operations;
};

struct workload {
  const char *name;
  /** Runs in any number of threads at once. */
  bool threaded;
  /** Returns the checksum of all that was read. */
  uint32_t (*run)(const struct context *context);
};

uint32_t gcbench(const struct context *context);
uint32_t gcbench_mt(const struct context *context);
uint32_t binary_trees(const struct context *context);
uint32_t lru_cache(const struct context *context);
uint32_t splay(const struct context *context);
uint32_t quads(const struct context *context);
uint32_t hyperalloc(const struct context *context);
uint32_t pointer_chase(const struct context *context);

/** A number of things: at least 1, halves up. */
static inline uint32_t rounded(double number) {
  return (uint32_t)fmax(1, floor(number + 0.5));
}

static inline uint32_t min_u32(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

#endif
