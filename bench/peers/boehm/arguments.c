#include "arguments.h"
#include "fail.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64

static const struct workload workloads[] = {
    {"gcbench", false, gcbench},
    {"gcbench-mt", true, gcbench_mt},
    {"binary-trees", false, binary_trees},
    {"lru-cache", false, lru_cache},
    {"splay", false, splay},
    {"quads", false, quads},
    {"hyperalloc", false, hyperalloc},
    {"pointer-chase", false, pointer_chase},
};

static const struct workload *find_workload(const char *name) {
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
    if (strcmp(workloads[i].name, name) == 0) return &workloads[i];
  fail_usage("no workload %s", name);
}

static double positive(const char *name, const char *value) {
  char *end;
  const double number = strtod(value, &end);
  if (end == value || *end != '\0' || !(number > 0) || isinf(number))
    fail_usage("%s takes a number above 0, not %s", name, value);
  return number;
}

static uint32_t integer(const char *name, const char *value, uint32_t min, uint32_t max) {
  char *end;
  errno = 0;
  const long long number = strtoll(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || number < min || number > max)
    fail_usage("%s takes an integer from %u to %u, not %s", name, min, max, value);
  return (uint32_t)number;
}

struct arguments arguments_parse(int argc, char **argv) {
  if (argc < 2) fail_usage("usage: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE");
  struct arguments arguments = {.workload = find_workload(argv[1])};
  bool seeded = false;
  for (int i = 2; i < argc; i += 2) {
    const char *name = argv[i];
    if (i + 1 == argc) fail_usage("%s needs a value", name);
    const char *value = argv[i + 1];
    if (strcmp(name, "--scale") == 0) {
      arguments.scale = positive(name, value);
    } else if (strcmp(name, "--seed") == 0) {
      arguments.seed = integer(name, value, 0, UINT32_MAX);
      seeded = true;
    } else if (strcmp(name, "--threads") == 0) {
      arguments.threads = integer(name, value, 1, THREADS_MAX);
    } else if (strcmp(name, "--rate") == 0) {
      arguments.rate = positive(name, value);
    } else if (strcmp(name, "--ops") == 0) {
      arguments.ops = value;
    } else {
      fail_usage("no option %s", name);
    }
  }
  if (arguments.scale == 0 || !seeded || arguments.threads == 0 || arguments.ops == NULL)
    fail_usage("--scale, --seed, --threads and --ops are needed");
  if (arguments.threads > 1 && !arguments.workload->threaded)
    fail_usage("%s runs in one thread", arguments.workload->name);
  return arguments;
}
