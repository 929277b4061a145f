// The log of pauses. The collector's own log (GC_PRINT_STATS) tells no times of the clock, so its events are written down here.
#ifndef PAUSES_H
#define PAUSES_H
#include <stdint.h>

/** Records from now on, when TOSPACE_PAUSE_LOG names a file. */
void pauses_record(void);

/** Writes what was recorded, and when the workload began and ended, to that file. */
void pauses_write(int64_t begin_ns, int64_t end_ns);

#endif
