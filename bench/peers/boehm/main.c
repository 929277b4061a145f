// Runs one workload once on Boehm's collector, writes the log of its operations, and prints one line of JSON.
#include "arguments.h"
#include "fail.h"
#include "pauses.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct runner {
  struct context context;
  struct operations operations;
  const struct workload *workload;
  uint32_t checksum;
};

/** Where threads wait for each other; used when there is more than one. */
static pthread_barrier_t start;
static struct runner *runners;
static uint32_t threads;
static int64_t begin_ns;
static double begin_cpu_ms;

static void fail_with(int status, const char *format, va_list values) {
  fputs("boehm peer: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  exit(status);
}

void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fail_with(STATUS_FAILED, format, values);
  __builtin_unreachable();
}

void fail_usage(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fail_with(STATUS_USAGE, format, values);
  __builtin_unreachable();
}

static void *out_of_memory(size_t bytes) {
  fail("out of memory: %zu bytes do not fit", bytes);
}

/** Time of all threads in user and kernel mode, the collector's included. */
static double cpu_ms(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static uint64_t peak_rss_bytes(void) {
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) fail("/proc/self/status: %s", strerror(errno));
  char line[256];
  uint64_t kib = 0;
  while (fgets(line, sizeof line, status) != NULL)
    if (sscanf(line, "VmHWM: %" SCNu64 " kB", &kib) == 1) break;
  fclose(status);
  if (kib == 0) fail("/proc/self/status has no VmHWM");
  return kib * 1024;
}

/** The workload begins for all threads. */
static void set_origin(void) {
  begin_cpu_ms = cpu_ms();
  begin_ns = monotonic_ns();
  for (uint32_t i = 0; i < threads; i++) runners[i].operations.origin = begin_ns;
}

static void *run(void *argument) {
  struct runner *runner = argument;
  if (threads > 1) {
    if (pthread_barrier_wait(&start) == PTHREAD_BARRIER_SERIAL_THREAD) set_origin();
    pthread_barrier_wait(&start);
  } else {
    set_origin();
  }
  runner->checksum = runner->workload->run(&runner->context);
  return NULL;
}

static void run_threads(void) {
  pthread_t *ids = calloc(threads, sizeof *ids);
  if (ids == NULL || pthread_barrier_init(&start, NULL, threads) != 0) fail("no memory for threads");
  for (uint32_t i = 0; i < threads; i++) {
    const int error = pthread_create(&ids[i], NULL, run, &runners[i]);
    if (error != 0) fail("pthread_create: %s", strerror(error));
  }
  for (uint32_t i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  free(ids);
}

int main(int argc, char **argv) {
  const struct arguments arguments = arguments_parse(argc, argv);
  GC_INIT();
  GC_set_oom_fn(out_of_memory);
  // Found missing now, not after the run.
  FILE *ops = fopen(arguments.ops, "wb");
  if (ops == NULL) fail("%s: %s", arguments.ops, strerror(errno));
  threads = arguments.threads;
  runners = calloc(threads, sizeof *runners);
  if (runners == NULL) fail("no memory for threads");
  for (uint32_t i = 0; i < threads; i++) {
    struct runner *runner = &runners[i];
    operations_create(&runner->operations, arguments.rate);
    runner->workload = arguments.workload;
    runner->context = (struct context){arguments.scale, arguments.seed, i, &runner->operations};
  }
  pauses_record();

  if (threads > 1) run_threads();
  else run(&runners[0]);
  const int64_t end_ns = monotonic_ns();
  const double workload_cpu_ms = cpu_ms() - begin_cpu_ms;

  uint32_t checksum = CHECKSUM_START;
  uint32_t operations = 0;
  for (uint32_t i = 0; i < threads; i++) {
    checksum = checksum_add(checksum, runners[i].checksum);
    operations += operations_count(&runners[i].operations);
    if (!operations_write(&runners[i].operations, ops)) fail("%s: %s", arguments.ops, strerror(errno));
  }
  if (!arguments.workload->threaded) checksum = runners[0].checksum;
  if (fclose(ops) != 0) fail("%s: %s", arguments.ops, strerror(errno));
  pauses_write(begin_ns, end_ns);
  printf("{\"checksum\":%u,\"wallMs\":%.3f,\"cpuMs\":%.3f,\"peakRssBytes\":%" PRIu64 ",\"operations\":%u}\n",
         checksum, (double)(end_ns - begin_ns) / 1e6, workload_cpu_ms, peak_rss_bytes(), operations);
  return 0;
}
