#include "operations.h"
#include "fail.h"
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOGGED_MAX 200000u
#define NS_PER_S 1000000000
#define NS_PER_MS 1e6
/** The last part of a wait is spent looking at the clock. */
#define SPIN_NS 1000000

int64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void operations_create(struct operations *operations, double rate) {
  // One pair more than are logged: all further ones are written there. Written to, so that storing faults in no page.
  const size_t bytes = (LOGGED_MAX + 1) * 2 * sizeof(double);
  *operations = (struct operations){.log = malloc(bytes), .interval = rate > 0 ? NS_PER_S / rate : 0};
  if (operations->log == NULL) fail("no memory for the log of operations");
  memset(operations->log, 0x55, bytes);
}

static void await_due(struct operations *operations) {
  int64_t now = monotonic_ns();
  if (operations->index == 0) operations->first = now;
  const int64_t due = operations->first + (int64_t)((double)operations->index++ * operations->interval);
  for (; now < due; now = monotonic_ns()) {
    if (due - now > SPIN_NS) {
      const int64_t end = due - SPIN_NS;
      const struct timespec t = {.tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    } else {
      _mm_pause();
    }
  }
}

void operation_begin(struct operations *operations) {
  if (operations->interval > 0) await_due(operations);
  operations->log[operations->at] = (double)(monotonic_ns() - operations->origin) / NS_PER_MS;
}

void operation_end(struct operations *operations) {
  operations->log[operations->at + 1] = (double)(monotonic_ns() - operations->origin) / NS_PER_MS;
  if (operations->at < 2 * LOGGED_MAX) operations->at += 2;
}

int operations_write(const struct operations *operations, FILE *file) {
  return fwrite(operations->log, sizeof(double), operations->at, file) == operations->at;
}
