// GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array.
#include "workload.h"

#define DEPTH_MIN 4
#define DEPTH_STEP 2
/** An operation builds as many trees as have about the nodes of one of this depth. */
#define OPERATION_DEPTH 10
#define SERIALS_PER_THREAD (1u << 24)

struct plan {
  int stretch_depth, long_lived_depth, depth_max;
  size_t array_length;
  double rounds;
};

struct node {
  struct node *left, *right;
  int32_t depth;
  uint32_t serial;
};

struct trees {
  uint32_t checksum, serial;
};

static struct node *make(struct trees *trees, int depth) {
  // Cleared by the collector: no children.
  struct node *node = GC_MALLOC(sizeof *node);
  node->depth = depth;
  node->serial = trees->serial++;
  return node;
}

static void populate(struct trees *trees, struct node *parent, int depth) {
  if (depth <= 0) return;
  parent->left = make(trees, depth - 1);
  parent->right = make(trees, depth - 1);
  populate(trees, parent->left, depth - 1);
  populate(trees, parent->right, depth - 1);
}

static struct node *top_down(struct trees *trees, int depth) {
  struct node *root = make(trees, depth);
  populate(trees, root, depth);
  return root;
}

static struct node *bottom_up(struct trees *trees, int depth) {
  if (depth <= 0) return make(trees, 0);
  struct node *left = bottom_up(trees, depth - 1);
  struct node *right = bottom_up(trees, depth - 1);
  struct node *node = make(trees, depth);
  node->left = left;
  node->right = right;
  return node;
}

static void read_tree(struct trees *trees, const struct node *node) {
  trees->checksum = checksum_add(checksum_add(trees->checksum, (uint32_t)node->depth), node->serial);
  if (node->left == NULL) return;
  read_tree(trees, node->left);
  read_tree(trees, node->right);
}

static void read_doubles(struct trees *trees, const double *array, size_t length) {
  uint32_t sum = trees->checksum;
  for (size_t i = 0; i < length; i++) {
    uint64_t bits;
    memcpy(&bits, &array[i], sizeof bits);
    sum = checksum_add(checksum_add(sum, (uint32_t)bits), (uint32_t)(bits >> 32));
  }
  trees->checksum = sum;
}

/** Nodes of a perfect binary tree. */
static double tree_size(int depth) {
  return (double)((1 << (depth + 1)) - 1);
}

static uint32_t run(const struct plan *plan, const struct context *context) {
  struct operations *operations = context->operations;
  struct trees trees = {.checksum = CHECKSUM_START, .serial = context->thread * SERIALS_PER_THREAD};

  read_tree(&trees, bottom_up(&trees, plan->stretch_depth));
  struct node *long_lived = top_down(&trees, plan->long_lived_depth);
  // Has no pointers, and is not cleared by the collector.
  double *array = GC_MALLOC_ATOMIC(plan->array_length * sizeof *array);
  for (size_t i = 0; i < plan->array_length; i++)
    array[i] = i < plan->array_length / 2 ? 1.0 / (double)(i + 1) : 0.0;

  const double work = plan->rounds * context->scale;
  const int rounds = (int)ceil(work);
  const double share = work / rounds;
  for (int round = 0; round < rounds; round++) {
    for (int depth = DEPTH_MIN; depth <= plan->depth_max; depth += DEPTH_STEP) {
      const double trees_wanted = floor(share * 2 * tree_size(plan->stretch_depth) / tree_size(depth));
      const uint32_t count = (uint32_t)fmax(1, trees_wanted);
      const uint32_t batch = depth < OPERATION_DEPTH ? 1u << (OPERATION_DEPTH - depth) : 1;
      struct node *tree = NULL;
      for (uint32_t done = 0; done < count;) {
        const uint32_t end = min_u32(count, done + batch);
        operation_begin(operations);
        for (; done < end; done++) tree = top_down(&trees, depth);
        operation_end(operations);
      }
      read_tree(&trees, tree);
      for (uint32_t done = 0; done < count;) {
        const uint32_t end = min_u32(count, done + batch);
        operation_begin(operations);
        for (; done < end; done++) tree = bottom_up(&trees, depth);
        operation_end(operations);
      }
      read_tree(&trees, tree);
    }
    read_tree(&trees, long_lived);
    read_doubles(&trees, array, plan->array_length);
  }
  return trees.checksum;
}

uint32_t gcbench(const struct context *context) {
  static const struct plan plan = {18, 16, 16, 500000, 10};
  return run(&plan, context);
}

uint32_t gcbench_mt(const struct context *context) {
  static const struct plan plan = {15, 13, 14, 125000, 40};
  return run(&plan, context);
}
