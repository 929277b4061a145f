/** A splay tree whose nodes carry small trees: random insertions, each with a removal of a neighbour. */
final class Splay implements Workload {
    private static final int OPERATIONS = 10_000;
    private static final int SIZE_MAX = 4000;
    private static final int SIZE_MIN = 100;
    private static final int MODIFICATIONS_PER_OPERATION = 80;
    private static final int PAYLOAD_DEPTH = 5;
    private static final int ARRAY_LENGTH = 10;

    private interface Payload {}

    private record Leaf(int[] array, String text) implements Payload {}

    private record Branch(Payload left, Payload right) implements Payload {}

    private static final class Node {
        Node left;
        Node right;
        final int key;
        final Payload payload;

        Node(int key, Payload payload) {
            this.key = key;
            this.payload = payload;
        }
    }

    private static Payload makePayload(int depth, int tag) {
        if (depth > 0) {
            return new Branch(makePayload(depth - 1, tag), makePayload(depth - 1, tag));
        }
        int[] array = new int[ARRAY_LENGTH];
        for (int i = 0; i < array.length; i++) {
            array[i] = tag + i;
        }
        return new Leaf(array, "String for key " + tag + " in leaf node");
    }

    private static final class Tree {
        int checksum = Checksum.START;
        private final Random random;
        private final Node dummy = new Node(0, null);
        private Node root;

        Tree(int seed) {
            random = new Random(seed);
        }

        int insertNew() {
            int key = random.next() >>> 1;
            while (has(key)) {
                key = random.next() >>> 1;
            }
            Node node = new Node(key, makePayload(PAYLOAD_DEPTH, key));
            if (root != null) {
                if (key > root.key) {
                    node.left = root;
                    node.right = root.right;
                    root.right = null;
                } else {
                    node.right = root;
                    node.left = root.left;
                    root.left = null;
                }
            }
            root = node;
            return key;
        }

        void modify() {
            splay(insertNew());
            Node victim = root.left;
            if (victim == null) {
                victim = root;
            } else {
                while (victim.right != null) {
                    victim = victim.right;
                }
            }
            readPart(remove(victim.key));
        }

        void readAll() {
            while (root != null) {
                splay(0);
                checksum = Checksum.add(checksum, root.key);
                readPayload(root.payload);
                root = root.right;
            }
        }

        private boolean has(int key) {
            if (root == null) {
                return false;
            }
            splay(key);
            return root.key == key;
        }

        private Node remove(int key) {
            splay(key);
            Node removed = root;
            if (removed.left == null) {
                root = removed.right;
            } else {
                root = removed.left;
                splay(key);
                root.right = removed.right;
            }
            return removed;
        }

        private void splay(int key) {
            Node smaller = dummy;
            Node greater = dummy;
            Node current = root;
            while (key != current.key) {
                if (key < current.key) {
                    if (current.left == null) {
                        break;
                    }
                    if (key < current.left.key) {
                        Node child = current.left;
                        current.left = child.right;
                        child.right = current;
                        current = child;
                        if (current.left == null) {
                            break;
                        }
                    }
                    greater.left = current;
                    greater = current;
                    current = current.left;
                } else {
                    if (current.right == null) {
                        break;
                    }
                    if (key > current.right.key) {
                        Node child = current.right;
                        current.right = child.left;
                        child.left = current;
                        current = child;
                        if (current.right == null) {
                            break;
                        }
                    }
                    smaller.right = current;
                    smaller = current;
                    current = current.right;
                }
            }
            smaller.right = current.left;
            greater.left = current.right;
            current.left = dummy.right;
            current.right = dummy.left;
            dummy.left = null;
            dummy.right = null;
            root = current;
        }

        private void readPart(Node node) {
            Payload at = node.payload;
            for (int i = 0; i < PAYLOAD_DEPTH; i++) {
                Branch branch = (Branch) at;
                at = (node.key >>> i & 1) == 0 ? branch.left : branch.right;
            }
            Leaf leaf = (Leaf) at;
            int length = leaf.text.length();
            int sum = Checksum.add(Checksum.add(checksum, node.key), leaf.array[node.key % ARRAY_LENGTH]);
            checksum = Checksum.add(Checksum.add(sum, length), leaf.text.charAt(node.key % length));
        }

        private void readPayload(Payload payload) {
            if (payload instanceof Branch branch) {
                readPayload(branch.left);
                readPayload(branch.right);
                return;
            }
            Leaf leaf = (Leaf) payload;
            for (int element : leaf.array) {
                checksum = Checksum.add(checksum, element);
            }
            checksum = Checksum.add(checksum, leaf.text.length());
        }
    }

    @Override
    public int run(Context context) {
        int count = (int) Math.max(1, Math.floor(OPERATIONS * context.scale() + 0.5));
        long size = Math.min(SIZE_MAX, Math.max(SIZE_MIN, 4L * count));
        Tree tree = new Tree(context.seed());
        for (long i = 0; i < size; i++) {
            tree.insertNew();
        }
        for (int i = 0; i < count; i++) {
            context.operations().begin();
            for (int modification = 0; modification < MODIFICATIONS_PER_OPERATION; modification++) {
                tree.modify();
            }
            context.operations().end();
        }
        tree.readAll();
        return tree.checksum;
    }
}
