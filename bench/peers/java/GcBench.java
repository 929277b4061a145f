/** GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array. */
final class GcBench implements Workload {
    record Plan(
            int stretchDepth, int longLivedDepth, int arrayLength, int depthMax, int rounds, boolean threaded) {
        static final Plan SINGLE = new Plan(18, 16, 500_000, 16, 10, false);
        static final Plan THREADED = new Plan(15, 13, 125_000, 14, 40, true);
    }

    private static final int DEPTH_MIN = 4;
    private static final int DEPTH_STEP = 2;
    /** An operation builds as many trees as have about the nodes of one of this depth. */
    private static final int OPERATION_DEPTH = 10;
    private static final int SERIALS_PER_THREAD = 1 << 24;

    private final Plan plan;

    GcBench(Plan plan) {
        this.plan = plan;
    }

    private static final class Node {
        Node left;
        Node right;
        final int depth;
        final int serial;

        Node(int depth, int serial) {
            this.depth = depth;
            this.serial = serial;
        }
    }

    /** Builds and reads trees. */
    private static final class Trees {
        int checksum = Checksum.START;
        private int serial;

        Trees(int serial) {
            this.serial = serial;
        }

        Node topDown(int depth) {
            Node root = new Node(depth, serial++);
            populate(root, depth);
            return root;
        }

        private void populate(Node parent, int depth) {
            if (depth <= 0) {
                return;
            }
            parent.left = new Node(depth - 1, serial++);
            parent.right = new Node(depth - 1, serial++);
            populate(parent.left, depth - 1);
            populate(parent.right, depth - 1);
        }

        Node bottomUp(int depth) {
            if (depth <= 0) {
                return new Node(0, serial++);
            }
            Node left = bottomUp(depth - 1);
            Node right = bottomUp(depth - 1);
            Node node = new Node(depth, serial++);
            node.left = left;
            node.right = right;
            return node;
        }

        void read(Node node) {
            checksum = Checksum.add(Checksum.add(checksum, node.depth), node.serial);
            if (node.left != null) {
                read(node.left);
                read(node.right);
            }
        }

        void read(double[] array) {
            int sum = checksum;
            for (double element : array) {
                long bits = Double.doubleToRawLongBits(element);
                sum = Checksum.add(Checksum.add(sum, (int) bits), (int) (bits >>> 32));
            }
            checksum = sum;
        }
    }

    @Override
    public boolean threaded() {
        return plan.threaded;
    }

    @Override
    public int run(Context context) {
        Operations operations = context.operations();
        Trees trees = new Trees(context.thread() * SERIALS_PER_THREAD);

        trees.read(trees.bottomUp(plan.stretchDepth));
        Node longLived = trees.topDown(plan.longLivedDepth);
        double[] array = new double[plan.arrayLength];
        for (int i = 0; i < array.length / 2; i++) {
            array[i] = 1.0 / (i + 1);
        }

        double work = plan.rounds * context.scale();
        int rounds = (int) Math.ceil(work);
        double share = work / rounds;
        for (int round = 0; round < rounds; round++) {
            for (int depth = DEPTH_MIN; depth <= plan.depthMax; depth += DEPTH_STEP) {
                int count =
                        (int) Math.max(1, Math.floor(share * 2 * size(plan.stretchDepth) / size(depth)));
                int batch = 1 << Math.max(0, OPERATION_DEPTH - depth);
                Node tree = null;
                for (int done = 0; done < count; ) {
                    int end = Math.min(count, done + batch);
                    operations.begin();
                    for (; done < end; done++) {
                        tree = trees.topDown(depth);
                    }
                    operations.end();
                }
                trees.read(tree);
                for (int done = 0; done < count; ) {
                    int end = Math.min(count, done + batch);
                    operations.begin();
                    for (; done < end; done++) {
                        tree = trees.bottomUp(depth);
                    }
                    operations.end();
                }
                trees.read(tree);
            }
            trees.read(longLived);
            trees.read(array);
        }
        return trees.checksum;
    }

    /** Nodes of a perfect binary tree. */
    private static double size(int depth) {
        return (1 << (depth + 1)) - 1;
    }
}
