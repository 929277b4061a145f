#include "pauses.h"
#include "fail.h"
#include "operations.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#define GC_THREADS
#include <gc/gc.h>

#define PAUSES_MAX 1000000

struct pause {
  int64_t start_ns, end_ns;
};

static const char *log_file;
static struct pause *pauses;
static uint32_t count;

/** Called by the thread that collects, under the collector's lock. */
static void on_event(GC_EventType event) {
  if (event == GC_EVENT_PRE_STOP_WORLD) {
    pauses[count].start_ns = monotonic_ns();
  } else if (event == GC_EVENT_POST_START_WORLD) {
    pauses[count].end_ns = monotonic_ns();
    if (count < PAUSES_MAX) count++;
  }
}

void pauses_record(void) {
  log_file = getenv("TOSPACE_PAUSE_LOG");
  if (log_file == NULL) return;
  pauses = calloc(PAUSES_MAX + 1, sizeof *pauses);
  if (pauses == NULL) fail("no memory for the log of pauses");
  GC_set_on_collection_event(on_event);
}

void pauses_write(int64_t begin_ns, int64_t end_ns) {
  if (log_file == NULL) return;
  GC_set_on_collection_event(NULL);
  if (count == PAUSES_MAX) fail("more than %d pauses", PAUSES_MAX);
  FILE *file = fopen(log_file, "w");
  if (file == NULL) fail("%s: %s", log_file, strerror(errno));
  for (uint32_t i = 0; i < count; i++) {
    const int64_t duration = pauses[i].end_ns - pauses[i].start_ns;
    fprintf(file, "[%" PRId64 "ns] stop-the-world %" PRId64 " ns\n", pauses[i].start_ns, duration);
  }
  fprintf(file, "[%" PRId64 "ns] workload begin\n[%" PRId64 "ns] workload end\n", begin_ns, end_ns);
  if (fclose(file) != 0) fail("%s: %s", log_file, strerror(errno));
}
