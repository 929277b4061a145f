// The fault round trip in C: one thread touches pages one by one, clock in hand; another waits in poll, reads the message and answers
// with UFFDIO_COPY (the page is a hole) or UFFDIO_CONTINUE (the page is in the page cache).
//
// fault <pages> <warm-up passes> <copy|continue> <CPU of the mutator> <CPU of the server>
#include "common.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

/** Messages per read, as in the TypeScript reader. */
#define CAPACITY 64

struct server {
  int uffd, stop, cpu, copies;
  uint8_t *source;
  uint64_t faults;
};

static void *serve(void *argument) {
  struct server *s = argument;
  pin_to(s->cpu);
  struct pollfd fds[2] = {{.fd = s->uffd, .events = POLLIN}, {.fd = s->stop, .events = POLLIN}};
  struct uffd_msg messages[CAPACITY];
  for (;;) {
    if (poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      fail("poll");
    }
    if (!(fds[0].revents & POLLIN)) {
      if (fds[1].revents) return NULL;
      continue;
    }
    ssize_t bytes = read(s->uffd, messages, sizeof messages);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      fail("read");
    }
    for (size_t i = 0; i < (size_t)bytes / sizeof *messages; i++) {
      if (messages[i].event != UFFD_EVENT_PAGEFAULT) fail("event");
      const uint64_t page = messages[i].arg.pagefault.address & ~(PAGE_BYTES - 1);
      if (s->copies) {
        struct uffdio_copy c = {.dst = page, .src = (uint64_t)(uintptr_t)s->source, .len = PAGE_BYTES};
        if (ioctl(s->uffd, UFFDIO_COPY, &c) < 0) fail("UFFDIO_COPY");
      } else {
        struct floor_continue c = {.start = page, .len = PAGE_BYTES};
        if (ioctl(s->uffd, FLOOR_CONTINUE, &c) < 0) fail("UFFDIO_CONTINUE");
      }
      s->faults++;
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  const size_t pages = (size_t)atol(argv[1]);
  const int passes = atoi(argv[2]) + 1;
  const int copies = strcmp(argv[3], "copy") == 0;
  const size_t bytes = pages * PAGE_BYTES;
  uint8_t *window = reserve(2 * GIB, PROT_NONE), *alias = window + GIB;
  int fd = create_memfd("floor-fault", bytes);
  map_shared(window, bytes, fd);
  map_shared(alias, bytes, fd);
  memset(alias, 7, bytes);
  uint8_t *source = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (source == MAP_FAILED) fail("mmap");
  memset(source, 7, PAGE_BYTES);
  struct server s = {.uffd = open_uffd(), .stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .cpu = atoi(argv[5]), .copies = copies, .source = source};
  register_range(s.uffd, window, bytes);
  double *us = calloc(pages, sizeof *us);
  if (!us) fail("malloc");
  for (size_t i = 0; i < pages; i++) us[i] = 1;

  pin_to(atoi(argv[4]));
  pthread_t thread;
  if ((errno = pthread_create(&thread, NULL, serve, &s))) fail("pthread_create");
  // The first fault finds the server in poll, as all others do.
  usleep(20000);
  uint64_t sum = 0;
  for (int pass = 0; pass < passes; pass++) {
    if (copies) {
      if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0) fail("fallocate");
    } else if (madvise(window, bytes, MADV_DONTNEED) < 0) {
      fail("madvise");
    }
    for (size_t i = 0; i < pages; i++) {
      const double start = now_us();
      sum += *(volatile uint32_t *)(window + i * PAGE_BYTES);
      us[i] = now_us() - start;
    }
  }
  const uint64_t one = 1;
  if (write(s.stop, &one, 8) != 8) fail("write");
  pthread_join(thread, NULL);

  double start = now_us(), last = start;
  for (int i = 0; i < 100000; i++) last = now_us();
  printf("{\"faults\":%llu,\"sum\":%llu,\"clockUs\":%.4f,", (unsigned long long)s.faults, (unsigned long long)sum, (last - start) / 100000);
  print_array("us", us, pages, "}\n");
  return 0;
}
