// A long chain in random order, renewed in places and followed from end to end.
#include "workload.h"

#define ROUNDS 20
#define NODES 262144u
#define NODES_SMALL 16384u
/** Below this scale a run is too short for the long chain. */
#define SMALL_SCALE 0.05
#define RENEW_EVERY 16
#define CHASES 8
#define STEPS_PER_OPERATION 1024
#define GARBAGE_PER_OPERATION 64
#define BALLAST_WORDS 11

struct node {
  struct node *next;
  uint32_t id, value;
  uint32_t ballast[BALLAST_WORDS];
};

struct chain {
  struct node **table;
  struct node *at;
  /** The last node that was made to be dropped: what nobody keeps need not be made at all. */
  struct node *garbage;
  uint32_t nodes, id, checksum;
  struct random random;
};

static struct node *make(struct chain *chain) {
  struct node *node = GC_MALLOC(sizeof *node);
  node->id = chain->id++;
  node->value = mix(node->id);
  return node;
}

static void build(struct chain *chain) {
  const uint32_t nodes = chain->nodes;
  uint32_t *places = GC_MALLOC_ATOMIC(nodes * sizeof *places);
  for (uint32_t i = 0; i < nodes; i++) places[i] = i;
  for (uint32_t i = nodes - 1; i > 0; i--) {
    const uint32_t j = random_below(&chain->random, i + 1);
    const uint32_t place = places[i];
    places[i] = places[j];
    places[j] = place;
  }
  chain->table = GC_MALLOC(nodes * sizeof *chain->table);
  for (uint32_t i = 0; i < nodes; i++) chain->table[places[i]] = make(chain);
  for (uint32_t i = 1; i < nodes; i++) chain->table[i - 1]->next = chain->table[i];
}

static void renew(struct chain *chain) {
  for (uint32_t left = chain->nodes / RENEW_EVERY; left > 0; left--) {
    const uint32_t place = random_below(&chain->random, chain->nodes);
    struct node *node = make(chain);
    node->next = chain->table[place]->next;
    if (place > 0) chain->table[place - 1]->next = node;
    chain->table[place] = node;
  }
}

static void step(struct chain *chain) {
  for (int i = 0; i < GARBAGE_PER_OPERATION; i++) chain->garbage = make(chain);
  struct node *node = chain->at;
  uint32_t sum = chain->checksum;
  for (int i = 0; i < STEPS_PER_OPERATION; i++) {
    sum = checksum_add(sum, node->id ^ node->value);
    node = node->next;
  }
  chain->at = node;
  chain->checksum = sum;
}

uint32_t pointer_chase(const struct context *context) {
  struct chain *chain = GC_MALLOC(sizeof *chain);
  chain->nodes = context->scale < SMALL_SCALE ? NODES_SMALL : NODES;
  chain->checksum = CHECKSUM_START;
  chain->random.state = context->seed;
  build(chain);
  const uint32_t rounds = rounded(ROUNDS * context->scale);
  for (uint32_t round = 0; round < rounds; round++) {
    renew(chain);
    // Here the managed heap is asked for a cycle. GC_gcollect() would wait for one.
    for (int chase = 0; chase < CHASES; chase++) {
      chain->at = chain->table[0];
      for (uint32_t done = 0; done < chain->nodes; done += STEPS_PER_OPERATION) {
        operation_begin(context->operations);
        step(chain);
        operation_end(context->operations);
      }
    }
  }
  return chain->checksum;
}
