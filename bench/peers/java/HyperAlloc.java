/** Allocation of mixed sizes beside a live set in which random survivors are replaced. */
final class HyperAlloc implements Workload {
    private static final int OPERATIONS = 32_768;
    private static final int SLOTS_MAX = 49_152;
    private static final int SLOTS_MIN = 1024;
    private static final int SCATTER = 0x9e3779b1;
    private static final int ITEMS_PER_OPERATION = 256;
    private static final int SURVIVES_EVERY = 16;
    private static final int YOUNG = 64;
    private static final int SWAPS_PER_OPERATION = 8;

    private record SizeClass(int below, int lowWords, int highWords) {}

    /** The class is for draws below its first number, of 100. */
    private static final SizeClass[] SIZES = {
        new SizeClass(60, 2, 8),
        new SizeClass(90, 9, 64),
        new SizeClass(98, 65, 512),
        new SizeClass(100, 513, 4096),
    };

    private record Item(int id, int[] data) {}

    private static final class Items {
        int checksum = Checksum.START;
        private final Random random;
        private final Item[] slots;
        private final Item[] young = new Item[YOUNG];
        private int id;

        Items(int seed, int count) {
            random = new Random(seed);
            slots = new Item[count];
            for (int i = 0; i < count; i++) {
                slots[i] = make();
            }
        }

        void step() {
            for (int i = 0; i < ITEMS_PER_OPERATION; i++) {
                Item item = make();
                if (i % SURVIVES_EVERY != 0) {
                    young[i % YOUNG] = item;
                } else {
                    int slot = random.below(slots.length);
                    read(slots[slot]);
                    slots[slot] = item;
                }
            }
            for (int i = 0; i < SWAPS_PER_OPERATION; i++) {
                int a = random.below(slots.length);
                int b = random.below(slots.length);
                Item swapped = slots[a];
                slots[a] = slots[b];
                slots[b] = swapped;
            }
        }

        void readAll() {
            for (Item item : slots) {
                read(item);
            }
            for (Item item : young) {
                if (item != null) {
                    read(item);
                }
            }
        }

        private Item make() {
            int drawn = random.below(100);
            int size = 0;
            while (drawn >= SIZES[size].below) {
                size++;
            }
            int low = SIZES[size].lowWords;
            int[] data = new int[low + random.below(SIZES[size].highWords - low + 1)];
            data[0] = id * SCATTER;
            data[data.length - 1] = Checksum.mix(id);
            return new Item(id++, data);
        }

        private void read(Item item) {
            int[] data = item.data;
            int sum = Checksum.add(Checksum.add(checksum, item.id), data.length);
            checksum = Checksum.add(Checksum.add(sum, data[0]), data[data.length - 1]);
        }
    }

    @Override
    public int run(Context context) {
        int count = (int) Math.max(1, Math.floor(OPERATIONS * context.scale() + 0.5));
        int slots = (int) Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, 6L * count));
        Items items = new Items(context.seed(), slots);
        for (int i = 0; i < count; i++) {
            context.operations().begin();
            items.step();
            context.operations().end();
        }
        items.readAll();
        return items.checksum;
    }
}
