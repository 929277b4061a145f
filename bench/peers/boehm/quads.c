// Short-lived trees of nodes with four children beside a long-lived one.
#include "workload.h"

#define OPERATIONS_PER_ROUND 3200
#define ROUNDS 20
#define LIVE_DEPTH 9
#define LIVE_DEPTH_SMALL 6
/** Below this scale a run is too short for the large tree. */
#define SMALL_SCALE 0.05
#define GARBAGE_DEPTH 3
#define TREES_PER_OPERATION 16

struct quad {
  struct quad *children[4];
  uint32_t serial;
};

static struct quad *build(uint32_t *serial, int depth) {
  struct quad *children[4] = {NULL};
  if (depth > 0)
    for (int i = 0; i < 4; i++) children[i] = build(serial, depth - 1);
  struct quad *quad = GC_MALLOC(sizeof *quad);
  for (int i = 0; i < 4; i++) quad->children[i] = children[i];
  quad->serial = (*serial)++;
  return quad;
}

static uint32_t read_quad(uint32_t checksum, const struct quad *quad) {
  checksum = checksum_add(checksum, quad->serial);
  if (quad->children[0] != NULL)
    for (int i = 0; i < 4; i++) checksum = read_quad(checksum, quad->children[i]);
  return checksum;
}

uint32_t quads(const struct context *context) {
  uint32_t checksum = CHECKSUM_START, serial = 0;
  struct quad *live = build(&serial, context->scale < SMALL_SCALE ? LIVE_DEPTH_SMALL : LIVE_DEPTH);
  const uint32_t count = rounded(OPERATIONS_PER_ROUND * context->scale);
  for (int round = 0; round < ROUNDS; round++) {
    for (uint32_t i = 0; i < count; i++) {
      operation_begin(context->operations);
      for (int tree = 0; tree < TREES_PER_OPERATION; tree++) {
        const struct quad *quad = build(&serial, GARBAGE_DEPTH);
        checksum = checksum_add(checksum_add(checksum, quad->serial), quad->children[2]->serial);
      }
      operation_end(context->operations);
    }
    checksum = read_quad(checksum, live);
  }
  return checksum;
}
