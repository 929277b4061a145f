// What the C halves of `tospace bench floor` share. Each prints one JSON object on standard output and ends with status 0.
#ifndef FLOOR_COMMON_H
#define FLOOR_COMMON_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
// Headers of distributions lag behind kernels: what is newer than 5.7 is spelt out.
#define FLOOR_REGISTER_MODE_MINOR 4
struct floor_continue {
  uint64_t start, len, mode;
  int64_t mapped;
};
#define FLOOR_CONTINUE 0xc020aa07ul

#define PAGE_BYTES 4096ul
#define MIB (1024ul * 1024)
#define GIB (1024ul * MIB)

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/** Address space of ours, aligned to 1 GiB. */
static inline uint8_t *reserve(size_t bytes, int prot) {
  uint8_t *low = mmap(NULL, bytes + GIB, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (low == MAP_FAILED) fail("mmap");
  uint8_t *at = (uint8_t *)(((uintptr_t)low + GIB - 1) & ~(GIB - 1));
  if (at > low) munmap(low, (size_t)(at - low));
  munmap(at + bytes, (size_t)(low + GIB - at));
  return at;
}

static inline int create_memfd(const char *name, size_t bytes) {
  int fd = (int)syscall(SYS_memfd_create, name, 1 /* MFD_CLOEXEC */);
  if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0) fail("memfd_create");
  return fd;
}

static inline void map_shared(void *at, size_t bytes, int fd) {
  if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) fail("mmap");
}

static inline void reset_reservation(void *at, size_t bytes) {
  if (mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    fail("mmap");
}

static inline int open_uffd(void) {
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  if (fd < 0) fail("userfaultfd");
  struct uffdio_api api = {.api = UFFD_API};
  if (ioctl(fd, UFFDIO_API, &api) < 0) fail("UFFDIO_API");
  return fd;
}

static inline void register_range(int uffd, void *at, size_t bytes) {
  struct uffdio_register r = {
      .range = {.start = (uint64_t)(uintptr_t)at, .len = bytes},
      .mode = UFFDIO_REGISTER_MODE_MISSING | FLOOR_REGISTER_MODE_MINOR,
  };
  if (ioctl(uffd, UFFDIO_REGISTER, &r) < 0) fail("UFFDIO_REGISTER");
}

static inline void unregister_range(int uffd, void *at, size_t bytes) {
  struct uffdio_range r = {.start = (uint64_t)(uintptr_t)at, .len = bytes};
  if (ioctl(uffd, UFFDIO_UNREGISTER, &r) < 0) fail("UFFDIO_UNREGISTER");
}

/** The calling thread stays on `cpu`; a negative number leaves it alone. */
static inline void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) fail("sched_setaffinity");
}

static inline void print_array(const char *name, const double *values, size_t count, const char *end) {
  printf("\"%s\":[", name);
  for (size_t i = 0; i < count; i++) printf("%s%.3f", i ? "," : "", values[i]);
  printf("]%s", end);
}
#endif
