// Allocation of mixed sizes beside a live set in which random survivors are replaced.
#include "workload.h"

#define OPERATIONS 32768
#define SLOTS_MAX 49152u
#define SLOTS_MIN 1024u
#define SCATTER 0x9e3779b1u
#define ITEMS_PER_OPERATION 256
#define SURVIVES_EVERY 16
#define YOUNG 64
#define SWAPS_PER_OPERATION 8

/** The class is for draws below its first number, of 100. */
static const struct {
  uint32_t below, low_words, high_words;
} sizes[] = {{60, 2, 8}, {90, 9, 64}, {98, 65, 512}, {100, 513, 4096}};

struct data {
  uint32_t length;
  uint32_t words[];
};

struct item {
  struct data *data;
  uint32_t id;
};

struct items {
  struct item **slots;
  uint32_t count, id, checksum;
  struct random random;
  struct item *young[YOUNG];
};

static struct item *make(struct items *items) {
  const uint32_t drawn = random_below(&items->random, 100);
  int size = 0;
  while (drawn >= sizes[size].below) size++;
  const uint32_t low = sizes[size].low_words;
  const uint32_t words = low + random_below(&items->random, sizes[size].high_words - low + 1);
  const size_t bytes = sizeof(struct data) + words * sizeof(uint32_t);
  // What has no pointers is not cleared by the collector.
  struct data *data = GC_MALLOC_ATOMIC(bytes);
  memset(data, 0, bytes);
  data->length = words;
  data->words[0] = items->id * SCATTER;
  data->words[words - 1] = mix(items->id);
  struct item *item = GC_MALLOC(sizeof *item);
  item->data = data;
  item->id = items->id++;
  return item;
}

static void read_item(struct items *items, const struct item *item) {
  const struct data *data = item->data;
  uint32_t sum = checksum_add(checksum_add(items->checksum, item->id), data->length);
  sum = checksum_add(sum, data->words[0]);
  items->checksum = checksum_add(sum, data->words[data->length - 1]);
}

static void step(struct items *items) {
  for (int i = 0; i < ITEMS_PER_OPERATION; i++) {
    struct item *item = make(items);
    if (i % SURVIVES_EVERY != 0) {
      items->young[i % YOUNG] = item;
    } else {
      const uint32_t slot = random_below(&items->random, items->count);
      read_item(items, items->slots[slot]);
      items->slots[slot] = item;
    }
  }
  for (int i = 0; i < SWAPS_PER_OPERATION; i++) {
    const uint32_t a = random_below(&items->random, items->count);
    const uint32_t b = random_below(&items->random, items->count);
    struct item *swapped = items->slots[a];
    items->slots[a] = items->slots[b];
    items->slots[b] = swapped;
  }
}

uint32_t hyperalloc(const struct context *context) {
  const uint32_t count = rounded(OPERATIONS * context->scale);
  struct items *items = GC_MALLOC(sizeof *items);
  items->count = (uint32_t)fmin(SLOTS_MAX, fmax(SLOTS_MIN, 6.0 * count));
  items->checksum = CHECKSUM_START;
  items->random.state = context->seed;
  items->slots = GC_MALLOC(items->count * sizeof *items->slots);
  for (uint32_t i = 0; i < items->count; i++) items->slots[i] = make(items);
  for (uint32_t i = 0; i < count; i++) {
    operation_begin(context->operations);
    step(items);
    operation_end(context->operations);
  }
  for (uint32_t i = 0; i < items->count; i++) read_item(items, items->slots[i]);
  for (int i = 0; i < YOUNG; i++)
    if (items->young[i] != NULL) read_item(items, items->young[i]);
  return items->checksum;
}
