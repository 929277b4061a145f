/** A long chain in random order, renewed in places and followed from end to end. */
final class PointerChase implements Workload {
    private static final int ROUNDS = 20;
    private static final int NODES = 262_144;
    private static final int NODES_SMALL = 16_384;
    /** Below this scale a run is too short for the long chain. */
    private static final double SMALL_SCALE = 0.05;
    private static final int RENEW_EVERY = 16;
    private static final int CHASES = 8;
    private static final int STEPS_PER_OPERATION = 1024;
    private static final int GARBAGE_PER_OPERATION = 64;

    private static final class Node {
        Node next;
        final int id;
        final int value;
        /** Ballast: a node has the size of a cache line or more. */
        int b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10;

        Node(int id) {
            this.id = id;
            value = Checksum.mix(id);
        }
    }

    private static final class Chain {
        int checksum = Checksum.START;
        private final Random random;
        private final Node[] table;
        private Node at;
        /** The last node that was made to be dropped: what nobody keeps need not be made at all. */
        Node garbage;
        private int id;

        Chain(int seed, int nodes) {
            random = new Random(seed);
            int[] places = new int[nodes];
            for (int i = 0; i < nodes; i++) {
                places[i] = i;
            }
            for (int i = nodes - 1; i > 0; i--) {
                int j = random.below(i + 1);
                int place = places[i];
                places[i] = places[j];
                places[j] = place;
            }
            table = new Node[nodes];
            for (int place : places) {
                table[place] = new Node(id++);
            }
            for (int i = 1; i < nodes; i++) {
                table[i - 1].next = table[i];
            }
        }

        void renew() {
            for (int left = table.length / RENEW_EVERY; left > 0; left--) {
                int place = random.below(table.length);
                Node node = new Node(id++);
                node.next = table[place].next;
                if (place > 0) {
                    table[place - 1].next = node;
                }
                table[place] = node;
            }
        }

        void restart() {
            at = table[0];
        }

        void step() {
            for (int i = 0; i < GARBAGE_PER_OPERATION; i++) {
                garbage = new Node(id++);
            }
            Node node = at;
            int sum = checksum;
            for (int i = 0; i < STEPS_PER_OPERATION; i++) {
                sum = Checksum.add(sum, node.id ^ node.value);
                node = node.next;
            }
            at = node;
            checksum = sum;
        }
    }

    @Override
    public int run(Context context) {
        int nodes = context.scale() < SMALL_SCALE ? NODES_SMALL : NODES;
        int rounds = (int) Math.max(1, Math.floor(ROUNDS * context.scale() + 0.5));
        Chain chain = new Chain(context.seed(), nodes);
        for (int round = 0; round < rounds; round++) {
            chain.renew();
            // Here the managed heap is asked for a cycle. System.gc() would wait for one.
            for (int chase = 0; chase < CHASES; chase++) {
                chain.restart();
                for (int done = 0; done < nodes; done += STEPS_PER_OPERATION) {
                    context.operations().begin();
                    chain.step();
                    context.operations().end();
                }
            }
        }
        return chain.checksum;
    }
}
