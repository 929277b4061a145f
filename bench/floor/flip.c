// The flip in C: mremap(DONTUNMAP), mmap of the other memfd, UFFDIO_REGISTER, under the conditions of a real cycle. Between two flips
// all pages are copied to the other memfd and mapped by UFFDIO_CONTINUE, the old page tables are dropped, and tables as large as the
// collector's are written, so that a flip meets populated page tables and caches that somebody else has used. A second thread plays
// the mutator: it answers the stop and then spins in user space, so that its CPU has to be told of every flushed translation.
//
// flip <used MiB> <cycles> <1: with a spinning thread>
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>

#define WINDOW GIB
#define BATCH 65536ul
#define DROP_STEP (8 * MIB)
/** Cycles before both memfds' pages are allocated and mapped everywhere. */
#define WARM_UP 2

static atomic_int stop, stopped, done;

static void *mutate(void *unused) {
  (void)unused;
  while (!atomic_load(&done)) {
    if (!atomic_load(&stop)) continue;
    atomic_store(&stopped, 1);
    while (atomic_load(&stop)) __builtin_ia32_pause();
    atomic_store(&stopped, 0);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const size_t used = (size_t)atol(argv[1]) * MIB;
  const int cycles = atoi(argv[2]) + WARM_UP;
  const int spins = atoi(argv[3]);
  uint8_t *memory = reserve(4 * WINDOW, PROT_NONE);
  uint8_t *heap = memory, *alias[2] = {memory + WINDOW, memory + 2 * WINDOW}, *attic = memory + 3 * WINDOW;
  int fd[2] = {create_memfd("floor-a", WINDOW), create_memfd("floor-b", WINDOW)};
  map_shared(heap, WINDOW, fd[0]);
  map_shared(alias[0], WINDOW, fd[0]);
  map_shared(alias[1], WINDOW, fd[1]);
  memset(alias[0], 1, used);
  memset(alias[1], 2, used);
  memset(heap, 3, used);
  const size_t table_bytes = used / 32 + 2 * MIB;
  uint8_t *tables = malloc(table_bytes);
  int uffd = open_uffd();
  double *move = calloc((size_t)cycles, sizeof *move);
  double *map = calloc((size_t)cycles, sizeof *map);
  double *reg = calloc((size_t)cycles, sizeof *reg);
  if (!tables || !move || !map || !reg) fail("malloc");

  pthread_t mutator;
  if (spins && (errno = pthread_create(&mutator, NULL, mutate, NULL))) fail("pthread_create");
  int front = 0;
  for (int cycle = 0; cycle < cycles; cycle++) {
    memset(tables, cycle, table_bytes);

    atomic_store(&stop, 1);
    while (spins && !atomic_load(&stopped)) __builtin_ia32_pause();
    const double t0 = now_us();
    if (mremap(heap, WINDOW, WINDOW, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, attic) == MAP_FAILED) fail("mremap");
    const double t1 = now_us();
    map_shared(heap, WINDOW, fd[1 - front]);
    const double t2 = now_us();
    register_range(uffd, heap, used);
    const double t3 = now_us();
    atomic_store(&stop, 0);
    while (spins && atomic_load(&stopped)) __builtin_ia32_pause();
    move[cycle] = t1 - t0;
    map[cycle] = t2 - t1;
    reg[cycle] = t3 - t2;
    front = 1 - front;

    for (size_t at = used; at > 0; at -= BATCH) {
      memcpy(alias[front] + at - BATCH, alias[1 - front] + at - BATCH, BATCH);
      struct floor_continue c = {.start = (uint64_t)(uintptr_t)(heap + at - BATCH), .len = BATCH};
      if (ioctl(uffd, FLOOR_CONTINUE, &c) < 0) fail("UFFDIO_CONTINUE");
    }
    unregister_range(uffd, heap, used);
    for (size_t at = 0; at < used; at += DROP_STEP)
      if (madvise(attic + at, used - at < DROP_STEP ? used - at : DROP_STEP, MADV_DONTNEED) < 0) fail("madvise");
    reset_reservation(attic, WINDOW);
  }
  atomic_store(&done, 1);
  if (spins) pthread_join(mutator, NULL);
  printf("{");
  print_array("moveUs", move + WARM_UP, (size_t)(cycles - WARM_UP), ",");
  print_array("mapUs", map + WARM_UP, (size_t)(cycles - WARM_UP), ",");
  print_array("registerUs", reg + WARM_UP, (size_t)(cycles - WARM_UP), "}\n");
  return 0;
}
