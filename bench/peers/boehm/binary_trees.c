// binary-trees of the Benchmarks Game: perfect trees built, counted and dropped.
#include "workload.h"

#define DEPTH_MIN 4
#define DEPTH_MAX 18
#define DEPTH_LEAST 8
#define GAMES 2
/** An operation builds as many trees as have about the nodes of one of this depth. */
#define OPERATION_DEPTH 10

struct node {
  struct node *left, *right;
};

static struct node *build(int depth) {
  if (depth == 0) return GC_MALLOC(sizeof(struct node));
  struct node *left = build(depth - 1);
  struct node *right = build(depth - 1);
  struct node *node = GC_MALLOC(sizeof *node);
  node->left = left;
  node->right = right;
  return node;
}

static uint32_t count(const struct node *node) {
  return node->left == NULL ? 1 : 1 + count(node->left) + count(node->right);
}

uint32_t binary_trees(const struct context *context) {
  const double scale = context->scale;
  const double depth_wanted = fmin(DEPTH_MAX, fmax(DEPTH_LEAST, DEPTH_MAX + floor(log2(scale))));
  const int depth_max = (int)depth_wanted;
  const double repeats = GAMES * scale * (double)(1 << (DEPTH_MAX - depth_max));

  uint32_t checksum = checksum_add(CHECKSUM_START, count(build(depth_max + 1)));
  struct node *long_lived = build(depth_max);
  for (int depth = DEPTH_MIN; depth <= depth_max; depth += 2) {
    const double wanted = (double)(1 << (depth_max - depth + DEPTH_MIN)) * repeats;
    const uint32_t iterations = rounded(wanted);
    const uint32_t batch = depth < OPERATION_DEPTH ? 1u << (OPERATION_DEPTH - depth) : 1;
    uint32_t nodes = 0;
    for (uint32_t done = 0; done < iterations;) {
      const uint32_t end = min_u32(iterations, done + batch);
      operation_begin(context->operations);
      for (; done < end; done++) nodes += count(build(depth));
      operation_end(context->operations);
    }
    checksum = checksum_add(checksum_add(checksum, iterations), nodes);
  }
  return checksum_add(checksum, count(long_lived));
}
