/** A hash table and a doubly linked list with least-recently-used eviction under skewed lookups. */
final class LruCache implements Workload {
    private static final int LOOKUPS = 16_000_000;
    private static final int CAPACITY_MAX = 131_072;
    private static final int CAPACITY_MIN = 1024;
    private static final int KEYS_PER_ENTRY = 4;
    private static final int VALUE_WORDS_MAX = 24;
    private static final int SCATTER = 0x9e3779b1;
    private static final int REPLACE_EVERY = 8;
    private static final int LOOKUPS_PER_OPERATION = 1024;

    private static final class Entry {
        Entry chain;
        Entry newer;
        Entry older;
        int[] value;
        final int key;
        int version;

        Entry(int key, int[] value) {
            this.key = key;
            this.value = value;
        }
    }

    private static final class Cache {
        int checksum = Checksum.START;
        private final int capacity;
        private final Entry[] table;
        private Entry newest;
        private Entry oldest;
        private int size;

        Cache(int capacity) {
            this.capacity = capacity;
            int buckets = 1;
            while (buckets < capacity) {
                buckets *= 2;
            }
            table = new Entry[buckets];
        }

        /** Looks a key up: a hit is read and moved to the front, a miss is inserted. */
        void use(int key, boolean replace) {
            Entry entry = find(key);
            if (entry == null) {
                insert(key);
                return;
            }
            read(entry);
            unlink(entry);
            linkNewest(entry);
            if (replace) {
                entry.version++;
                entry.value = makeValue(key, entry.version);
            }
        }

        void readAll() {
            for (Entry entry = newest; entry != null; entry = entry.older) {
                read(entry);
            }
            checksum = Checksum.add(checksum, size);
        }

        private int bucket(int key) {
            return Checksum.mix(key) & (table.length - 1);
        }

        private Entry find(int key) {
            Entry entry = table[bucket(key)];
            while (entry != null && entry.key != key) {
                entry = entry.chain;
            }
            return entry;
        }

        private void read(Entry entry) {
            int sum = Checksum.add(Checksum.add(checksum, entry.key), entry.version);
            for (int word : entry.value) {
                sum = Checksum.add(sum, word);
            }
            checksum = sum;
        }

        private static int[] makeValue(int key, int version) {
            int identity = Checksum.mix(key + version * SCATTER);
            int[] value = new int[1 + (identity >>> 8) % VALUE_WORDS_MAX];
            for (int i = 0; i < value.length; i++) {
                value[i] = (identity + i) * SCATTER;
            }
            return value;
        }

        private void insert(int key) {
            Entry entry = new Entry(key, makeValue(key, 0));
            if (size == capacity) {
                evict();
            } else {
                size++;
            }
            int bucket = bucket(key);
            entry.chain = table[bucket];
            table[bucket] = entry;
            linkNewest(entry);
        }

        private void evict() {
            Entry victim = oldest;
            unlink(victim);
            int bucket = bucket(victim.key);
            Entry before = table[bucket];
            if (before == victim) {
                table[bucket] = victim.chain;
                return;
            }
            while (before.chain != victim) {
                before = before.chain;
            }
            before.chain = victim.chain;
        }

        private void unlink(Entry entry) {
            if (entry.newer == null) {
                newest = entry.older;
            } else {
                entry.newer.older = entry.older;
            }
            if (entry.older == null) {
                oldest = entry.newer;
            } else {
                entry.older.newer = entry.newer;
            }
        }

        private void linkNewest(Entry entry) {
            entry.newer = null;
            entry.older = newest;
            if (newest == null) {
                oldest = entry;
            } else {
                newest.newer = entry;
            }
            newest = entry;
        }
    }

    @Override
    public int run(Context context) {
        Operations operations = context.operations();
        int lookups = (int) Math.max(1, Math.floor(LOOKUPS * context.scale() + 0.5));
        int capacity = Math.min(CAPACITY_MAX, Math.max(CAPACITY_MIN, lookups / 16));
        int keys = capacity * KEYS_PER_ENTRY;
        Random random = new Random(context.seed());
        Cache cache = new Cache(capacity);
        for (int done = 0; done < lookups; ) {
            int end = Math.min(lookups, done + LOOKUPS_PER_OPERATION);
            operations.begin();
            for (; done < end; done++) {
                // The square makes small keys more frequent.
                double unit = random.unit();
                cache.use((int) Math.floor(unit * unit * keys), done % REPLACE_EVERY == 0);
            }
            operations.end();
        }
        cache.readAll();
        return cache.checksum;
    }
}
