// A splay tree whose nodes carry small trees: random insertions, each with a removal of a neighbour.
#include "workload.h"
#include <stdio.h>

#define OPERATIONS 10000
#define SIZE_MAX_NODES 4000
#define SIZE_MIN_NODES 100
#define MODIFICATIONS_PER_OPERATION 80
#define PAYLOAD_DEPTH 5
#define ARRAY_LENGTH 10

struct leaf {
  uint32_t *array;
  char *text;
};

/** Of depth 0 a leaf, otherwise a branch: whoever has one knows its depth. */
union payload {
  struct leaf leaf;
  struct {
    union payload *left, *right;
  } branch;
};

struct node {
  struct node *left, *right;
  union payload *payload;
  uint32_t key;
};

struct tree {
  struct node *root;
  uint32_t checksum;
  struct random random;
};

static union payload *make_payload(int depth, uint32_t tag) {
  if (depth > 0) {
    union payload *left = make_payload(depth - 1, tag);
    union payload *right = make_payload(depth - 1, tag);
    union payload *branch = GC_MALLOC(sizeof *branch);
    branch->branch.left = left;
    branch->branch.right = right;
    return branch;
  }
  uint32_t *array = GC_MALLOC_ATOMIC(ARRAY_LENGTH * sizeof *array);
  for (uint32_t i = 0; i < ARRAY_LENGTH; i++) array[i] = tag + i;
  char buffer[64];
  const size_t bytes = (size_t)snprintf(buffer, sizeof buffer, "String for key %u in leaf node", tag) + 1;
  char *text = GC_MALLOC_ATOMIC(bytes);
  memcpy(text, buffer, bytes);
  union payload *leaf = GC_MALLOC(sizeof *leaf);
  leaf->leaf.array = array;
  leaf->leaf.text = text;
  return leaf;
}

static void splay_to(struct tree *tree, uint32_t key) {
  struct node dummy = {0};
  struct node *smaller = &dummy, *greater = &dummy, *current = tree->root;
  while (key != current->key) {
    if (key < current->key) {
      if (current->left == NULL) break;
      if (key < current->left->key) {
        struct node *child = current->left;
        current->left = child->right;
        child->right = current;
        current = child;
        if (current->left == NULL) break;
      }
      greater->left = current;
      greater = current;
      current = current->left;
    } else {
      if (current->right == NULL) break;
      if (key > current->right->key) {
        struct node *child = current->right;
        current->right = child->left;
        child->left = current;
        current = child;
        if (current->right == NULL) break;
      }
      smaller->right = current;
      smaller = current;
      current = current->right;
    }
  }
  smaller->right = current->left;
  greater->left = current->right;
  current->left = dummy.right;
  current->right = dummy.left;
  tree->root = current;
}

static bool has(struct tree *tree, uint32_t key) {
  if (tree->root == NULL) return false;
  splay_to(tree, key);
  return tree->root->key == key;
}

static uint32_t insert_new(struct tree *tree) {
  uint32_t key = random_next(&tree->random) >> 1;
  while (has(tree, key)) key = random_next(&tree->random) >> 1;
  union payload *payload = make_payload(PAYLOAD_DEPTH, key);
  struct node *node = GC_MALLOC(sizeof *node), *root = tree->root;
  node->key = key;
  node->payload = payload;
  if (root != NULL && key > root->key) {
    node->left = root;
    node->right = root->right;
    root->right = NULL;
  } else if (root != NULL) {
    node->right = root;
    node->left = root->left;
    root->left = NULL;
  }
  tree->root = node;
  return key;
}

static struct node *remove_key(struct tree *tree, uint32_t key) {
  splay_to(tree, key);
  struct node *removed = tree->root;
  if (removed->left == NULL) {
    tree->root = removed->right;
  } else {
    tree->root = removed->left;
    splay_to(tree, key);
    tree->root->right = removed->right;
  }
  return removed;
}

/** Reads the key, and of the leaf that its lowest bits lead to one element and one byte. */
static void read_part(struct tree *tree, const struct node *node) {
  const union payload *at = node->payload;
  for (int i = 0; i < PAYLOAD_DEPTH; i++) at = (node->key >> i & 1) == 0 ? at->branch.left : at->branch.right;
  const uint32_t length = (uint32_t)strlen(at->leaf.text);
  uint32_t sum = checksum_add(tree->checksum, node->key);
  sum = checksum_add(sum, at->leaf.array[node->key % ARRAY_LENGTH]);
  sum = checksum_add(sum, length);
  tree->checksum = checksum_add(sum, (uint8_t)at->leaf.text[node->key % length]);
}

static void read_payload(struct tree *tree, const union payload *payload, int depth) {
  if (depth > 0) {
    read_payload(tree, payload->branch.left, depth - 1);
    read_payload(tree, payload->branch.right, depth - 1);
    return;
  }
  for (int i = 0; i < ARRAY_LENGTH; i++) tree->checksum = checksum_add(tree->checksum, payload->leaf.array[i]);
  tree->checksum = checksum_add(tree->checksum, (uint32_t)strlen(payload->leaf.text));
}

static void modify(struct tree *tree) {
  splay_to(tree, insert_new(tree));
  struct node *victim = tree->root->left;
  if (victim == NULL) victim = tree->root;
  else
    while (victim->right != NULL) victim = victim->right;
  read_part(tree, remove_key(tree, victim->key));
}

uint32_t splay(const struct context *context) {
  const uint32_t count = rounded(OPERATIONS * context->scale);
  const uint32_t size = (uint32_t)fmin(SIZE_MAX_NODES, fmax(SIZE_MIN_NODES, 4.0 * count));
  struct tree *tree = GC_MALLOC(sizeof *tree);
  tree->checksum = CHECKSUM_START;
  tree->random.state = context->seed;
  for (uint32_t i = 0; i < size; i++) insert_new(tree);
  for (uint32_t i = 0; i < count; i++) {
    operation_begin(context->operations);
    for (int left = MODIFICATIONS_PER_OPERATION; left > 0; left--) modify(tree);
    operation_end(context->operations);
  }
  while (tree->root != NULL) {
    splay_to(tree, 0);
    tree->checksum = checksum_add(tree->checksum, tree->root->key);
    read_payload(tree, tree->root->payload, PAYLOAD_DEPTH);
    tree->root = tree->root->right;
  }
  return tree->checksum;
}
