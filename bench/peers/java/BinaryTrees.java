/** binary-trees of the Benchmarks Game: perfect trees built, counted and dropped. */
final class BinaryTrees implements Workload {
    private static final int DEPTH_MIN = 4;
    private static final int DEPTH_MAX = 18;
    private static final int DEPTH_LEAST = 8;
    private static final int GAMES = 2;
    /** An operation builds as many trees as have about the nodes of one of this depth. */
    private static final int OPERATION_DEPTH = 10;

    private static final class Node {
        final Node left;
        final Node right;

        Node(Node left, Node right) {
            this.left = left;
            this.right = right;
        }

        static Node build(int depth) {
            return depth == 0 ? new Node(null, null) : new Node(build(depth - 1), build(depth - 1));
        }

        int count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    @Override
    public int run(Context context) {
        double scale = context.scale();
        Operations operations = context.operations();
        // The exponent of a double is floor(log2) of it.
        int depthMax = Math.min(DEPTH_MAX, Math.max(DEPTH_LEAST, DEPTH_MAX + Math.getExponent(scale)));
        double repeats = GAMES * scale * (1 << (DEPTH_MAX - depthMax));

        int checksum = Checksum.add(Checksum.START, Node.build(depthMax + 1).count());
        Node longLived = Node.build(depthMax);
        for (int depth = DEPTH_MIN; depth <= depthMax; depth += 2) {
            double wanted = (1 << (depthMax - depth + DEPTH_MIN)) * repeats;
            int iterations = (int) Math.max(1, Math.floor(wanted + 0.5));
            int batch = 1 << Math.max(0, OPERATION_DEPTH - depth);
            int nodes = 0;
            for (int done = 0; done < iterations; ) {
                int end = Math.min(iterations, done + batch);
                operations.begin();
                for (; done < end; done++) {
                    nodes += Node.build(depth).count();
                }
                operations.end();
            }
            checksum = Checksum.add(Checksum.add(checksum, iterations), nodes);
        }
        return Checksum.add(checksum, longLived.count());
    }
}
