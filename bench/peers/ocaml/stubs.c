// What OCaml's standard library does not have: the monotonic clock, a wait without allocation, and a log of pauses with times.
//
// The runtime's own log (OCAMLRUNPARAM=v=...) tells no times, so its hooks are used: they are called at the beginning and the end of
// every minor collection and of every slice of a major one, compactions included.
#include <caml/alloc.h>
#include <caml/misc.h>
#include <caml/mlvalues.h>
#include <errno.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000
#define NS_PER_MS 1e6
/** The last part of a wait is spent looking at the clock. */
#define SPIN_NS 1000000
#define PAUSES_MAX 1000000

enum kind { MINOR, MAJOR_SLICE };
static const char *const kind_names[] = {"minor", "major-slice"};

struct pause {
  int64_t start_ns, end_ns;
  enum kind kind;
};

static struct pause *pauses;
static uint32_t count;
/** A slice may begin while a minor collection is timed, and the other way round. */
static int64_t started_ns[2];

static int64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

double peer_now_ms(value unit) {
  (void)unit;
  return (double)monotonic_ns() / NS_PER_MS;
}

value peer_now_ms_bytecode(value unit) {
  return caml_copy_double(peer_now_ms(unit));
}

value peer_await_ms(double due_ms) {
  const int64_t due = (int64_t)(due_ms * NS_PER_MS);
  for (int64_t now = monotonic_ns(); now < due; now = monotonic_ns()) {
    if (due - now > SPIN_NS) {
      const int64_t end = due - SPIN_NS;
      const struct timespec t = {.tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    } else {
      _mm_pause();
    }
  }
  return Val_unit;
}

value peer_await_ms_bytecode(value due_ms) {
  return peer_await_ms(Double_val(due_ms));
}

static void begin(enum kind kind) {
  started_ns[kind] = monotonic_ns();
}

static void end(enum kind kind) {
  pauses[count] = (struct pause){started_ns[kind], monotonic_ns(), kind};
  if (count < PAUSES_MAX) count++;
}

static void minor_begin(void) {
  begin(MINOR);
}

static void minor_end(void) {
  end(MINOR);
}

static void slice_begin(void) {
  begin(MAJOR_SLICE);
}

static void slice_end(void) {
  end(MAJOR_SLICE);
}

static void fail(const char *what) {
  fprintf(stderr, "ocaml peer: %s: %s\n", what, strerror(errno));
  exit(1);
}

/** Records from now on, when TOSPACE_PAUSE_LOG names a file. */
value peer_record_pauses(value unit) {
  if (getenv("TOSPACE_PAUSE_LOG") == NULL) return unit;
  pauses = calloc(PAUSES_MAX + 1, sizeof *pauses);
  if (pauses == NULL) fail("log of pauses");
  caml_minor_gc_begin_hook = minor_begin;
  caml_minor_gc_end_hook = minor_end;
  caml_major_slice_begin_hook = slice_begin;
  caml_major_slice_end_hook = slice_end;
  return unit;
}

/** Writes what was recorded, and when the workload began and ended, to that file. */
value peer_write_pauses(value begin_ms, value end_ms) {
  if (pauses == NULL) return Val_unit;
  caml_minor_gc_begin_hook = caml_minor_gc_end_hook = NULL;
  caml_major_slice_begin_hook = caml_major_slice_end_hook = NULL;
  if (count == PAUSES_MAX) {
    errno = EOVERFLOW;
    fail("log of pauses");
  }
  const char *name = getenv("TOSPACE_PAUSE_LOG");
  FILE *file = fopen(name, "w");
  if (file == NULL) fail(name);
  for (uint32_t i = 0; i < count; i++) {
    const struct pause *p = &pauses[i];
    fprintf(file, "[%jdns] %s %jd ns\n", (intmax_t)p->start_ns, kind_names[p->kind],
            (intmax_t)(p->end_ns - p->start_ns));
  }
  fprintf(file, "[%.0fns] workload begin\n", Double_val(begin_ms) * NS_PER_MS);
  fprintf(file, "[%.0fns] workload end\n", Double_val(end_ms) * NS_PER_MS);
  if (fclose(file) != 0) fail(name);
  return Val_unit;
}
