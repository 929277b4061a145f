package main

import "math"

// A hash table and a doubly linked list with least-recently-used eviction under skewed lookups.

const (
	lruLookups             = 16_000_000
	lruCapacityMax         = 131_072
	lruCapacityMin         = 1024
	lruKeysPerEntry        = 4
	lruValueWordsMax       = 24
	lruScatter             = 0x9e3779b1
	lruReplaceEvery        = 8
	lruLookupsPerOperation = 1024
)

type lruEntry struct {
	chain, newer, older *lruEntry
	value               []uint32
	key, version        uint32
}

type lru struct {
	table          []*lruEntry
	newest, oldest *lruEntry
	size, capacity int
	checksum       uint32
}

func newLru(capacity int) *lru {
	buckets := 1
	for buckets < capacity {
		buckets *= 2
	}
	return &lru{table: make([]*lruEntry, buckets), capacity: capacity, checksum: checksumStart}
}

func makeLruValue(key, version uint32) []uint32 {
	identity := mix(key + version*lruScatter)
	value := make([]uint32, 1+identity>>8%lruValueWordsMax)
	for i := range value {
		value[i] = (identity + uint32(i)) * lruScatter
	}
	return value
}

// use looks key up: a hit is read and moved to the front, a miss is inserted.
func (c *lru) use(key uint32, replace bool) {
	entry := c.find(key)
	if entry == nil {
		c.insert(key)
		return
	}
	c.read(entry)
	c.unlink(entry)
	c.linkNewest(entry)
	if replace {
		entry.version++
		entry.value = makeLruValue(key, entry.version)
	}
}

func (c *lru) readAll() {
	for entry := c.newest; entry != nil; entry = entry.older {
		c.read(entry)
	}
	c.checksum = addWord(c.checksum, uint32(c.size))
}

func (c *lru) bucket(key uint32) **lruEntry {
	return &c.table[mix(key)&uint32(len(c.table)-1)]
}

func (c *lru) find(key uint32) *lruEntry {
	entry := *c.bucket(key)
	for entry != nil && entry.key != key {
		entry = entry.chain
	}
	return entry
}

func (c *lru) read(entry *lruEntry) {
	sum := addWord(addWord(c.checksum, entry.key), entry.version)
	for _, word := range entry.value {
		sum = addWord(sum, word)
	}
	c.checksum = sum
}

func (c *lru) insert(key uint32) {
	entry := &lruEntry{key: key, value: makeLruValue(key, 0)}
	if c.size == c.capacity {
		c.evict()
	} else {
		c.size++
	}
	bucket := c.bucket(key)
	entry.chain = *bucket
	*bucket = entry
	c.linkNewest(entry)
}

// evict removes the entry that was used longest ago.
func (c *lru) evict() {
	victim := c.oldest
	c.unlink(victim)
	link := c.bucket(victim.key)
	for *link != victim {
		link = &(*link).chain
	}
	*link = victim.chain
}

func (c *lru) unlink(entry *lruEntry) {
	if entry.newer == nil {
		c.newest = entry.older
	} else {
		entry.newer.older = entry.older
	}
	if entry.older == nil {
		c.oldest = entry.newer
	} else {
		entry.older.newer = entry.newer
	}
}

func (c *lru) linkNewest(entry *lruEntry) {
	entry.newer = nil
	entry.older = c.newest
	if c.newest == nil {
		c.oldest = entry
	} else {
		c.newest.newer = entry
	}
	c.newest = entry
}

func lruCache(c *context) uint32 {
	lookups := rounded(lruLookups * c.scale)
	capacity := min(lruCapacityMax, max(lruCapacityMin, lookups/16))
	keys := float64(capacity * lruKeysPerEntry)
	random := random{c.seed}
	cache := newLru(capacity)
	for done := 0; done < lookups; {
		end := min(lookups, done+lruLookupsPerOperation)
		c.operations.begin()
		for ; done < end; done++ {
			// The square makes small keys more frequent.
			unit := random.unit()
			cache.use(uint32(math.Floor(unit*unit*keys)), done%lruReplaceEvery == 0)
		}
		c.operations.end()
	}
	cache.readAll()
	return cache.checksum
}
