// The command line, the same in every language: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE
#ifndef ARGUMENTS_H
#define ARGUMENTS_H
#include "workload.h"

struct arguments {
  const struct workload *workload;
  double scale;
  uint32_t seed;
  uint32_t threads;
  /** Operations per second and thread; 0 is a closed loop. */
  double rate;
  const char *ops;
};

/** Ends the process when something is wrong. */
struct arguments arguments_parse(int argc, char **argv);

#endif
