// A hash table and a doubly linked list with least-recently-used eviction under skewed lookups.
#include "workload.h"

#define LOOKUPS 16000000
#define CAPACITY_MAX 131072u
#define CAPACITY_MIN 1024u
#define KEYS_PER_ENTRY 4
#define VALUE_WORDS_MAX 24
#define SCATTER 0x9e3779b1u
#define REPLACE_EVERY 8
#define LOOKUPS_PER_OPERATION 1024

struct value {
  uint32_t length;
  uint32_t words[];
};

struct entry {
  struct entry *chain, *newer, *older;
  struct value *value;
  uint32_t key, version;
};

struct cache {
  struct entry **table;
  struct entry *newest, *oldest;
  uint32_t size, capacity, mask, checksum;
};

static struct cache *create(uint32_t capacity) {
  struct cache *cache = GC_MALLOC(sizeof *cache);
  uint32_t buckets = 1;
  while (buckets < capacity) buckets *= 2;
  cache->table = GC_MALLOC(buckets * sizeof *cache->table);
  cache->capacity = capacity;
  cache->mask = buckets - 1;
  cache->checksum = CHECKSUM_START;
  return cache;
}

static struct value *make_value(uint32_t key, uint32_t version) {
  const uint32_t identity = mix(key + version * SCATTER);
  const uint32_t length = 1 + (identity >> 8) % VALUE_WORDS_MAX;
  struct value *value = GC_MALLOC_ATOMIC(sizeof *value + length * sizeof *value->words);
  value->length = length;
  for (uint32_t i = 0; i < length; i++) value->words[i] = (identity + i) * SCATTER;
  return value;
}

static struct entry **bucket_of(const struct cache *cache, uint32_t key) {
  return &cache->table[mix(key) & cache->mask];
}

static struct entry *find(const struct cache *cache, uint32_t key) {
  struct entry *entry = *bucket_of(cache, key);
  while (entry != NULL && entry->key != key) entry = entry->chain;
  return entry;
}

static void read_entry(struct cache *cache, const struct entry *entry) {
  uint32_t sum = checksum_add(checksum_add(cache->checksum, entry->key), entry->version);
  const struct value *value = entry->value;
  for (uint32_t i = 0; i < value->length; i++) sum = checksum_add(sum, value->words[i]);
  cache->checksum = sum;
}

static void unlink_entry(struct cache *cache, struct entry *entry) {
  if (entry->newer == NULL) cache->newest = entry->older;
  else entry->newer->older = entry->older;
  if (entry->older == NULL) cache->oldest = entry->newer;
  else entry->older->newer = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry) {
  entry->newer = NULL;
  entry->older = cache->newest;
  if (cache->newest == NULL) cache->oldest = entry;
  else cache->newest->newer = entry;
  cache->newest = entry;
}

/** Removes the entry that was used longest ago. */
static void evict(struct cache *cache) {
  struct entry *victim = cache->oldest;
  unlink_entry(cache, victim);
  struct entry **link = bucket_of(cache, victim->key);
  while (*link != victim) link = &(*link)->chain;
  *link = victim->chain;
}

static void insert(struct cache *cache, uint32_t key) {
  struct value *value = make_value(key, 0);
  struct entry *entry = GC_MALLOC(sizeof *entry);
  entry->key = key;
  entry->value = value;
  if (cache->size == cache->capacity) evict(cache);
  else cache->size++;
  struct entry **bucket = bucket_of(cache, key);
  entry->chain = *bucket;
  *bucket = entry;
  link_newest(cache, entry);
}

/** Looks `key` up: a hit is read and moved to the front, a miss is inserted. */
static void use(struct cache *cache, uint32_t key, bool replace) {
  struct entry *entry = find(cache, key);
  if (entry == NULL) {
    insert(cache, key);
    return;
  }
  read_entry(cache, entry);
  unlink_entry(cache, entry);
  link_newest(cache, entry);
  if (replace) {
    entry->version++;
    entry->value = make_value(key, entry->version);
  }
}

uint32_t lru_cache(const struct context *context) {
  const uint32_t lookups = rounded(LOOKUPS * context->scale);
  const uint32_t capacity = min_u32(CAPACITY_MAX, max_u32(CAPACITY_MIN, lookups / 16));
  const double keys = (double)capacity * KEYS_PER_ENTRY;
  struct random random = {context->seed};
  struct cache *cache = create(capacity);
  for (uint32_t done = 0; done < lookups;) {
    const uint32_t end = min_u32(lookups, done + LOOKUPS_PER_OPERATION);
    operation_begin(context->operations);
    for (; done < end; done++) {
      // The square makes small keys more frequent.
      const double unit = random_unit(&random);
      use(cache, (uint32_t)floor(unit * unit * keys), done % REPLACE_EVERY == 0);
    }
    operation_end(context->operations);
  }
  for (const struct entry *entry = cache->newest; entry != NULL; entry = entry->older) read_entry(cache, entry);
  return checksum_add(cache->checksum, cache->size);
}
