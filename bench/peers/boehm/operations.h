// When each operation of a thread began and ended, and, under an open load, when it may begin. The log is plain memory that the
// collector does not know, allocated and touched beforehand.
#ifndef OPERATIONS_H
#define OPERATIONS_H
#include <stdint.h>
#include <stdio.h>

struct operations {
  double *log;
  /** Doubles in the log. */
  uint32_t at;
  /** Nanoseconds between two operations; 0 is a closed loop. */
  double interval;
  /** When the workload began. */
  int64_t origin;
  /** When operation 0 began. */
  int64_t first;
  uint64_t index;
};

/** The monotonic clock, in nanoseconds. */
int64_t monotonic_ns(void);

/** A rate of 0: each operation begins when the one before it is over. */
void operations_create(struct operations *operations, double rate);
void operation_begin(struct operations *operations);
void operation_end(struct operations *operations);
/** Returns false, and errno says why, when not all could be written. */
int operations_write(const struct operations *operations, FILE *file);

static inline uint32_t operations_count(const struct operations *operations) {
  return operations->at / 2;
}

#endif
