/** Short-lived trees of nodes with four children beside a long-lived one. */
final class Quads implements Workload {
    private static final int OPERATIONS_PER_ROUND = 3200;
    private static final int ROUNDS = 20;
    private static final int LIVE_DEPTH = 9;
    private static final int LIVE_DEPTH_SMALL = 6;
    /** Below this scale a run is too short for the large tree. */
    private static final double SMALL_SCALE = 0.05;
    private static final int GARBAGE_DEPTH = 3;
    private static final int TREES_PER_OPERATION = 16;

    private record Quad(Quad a, Quad b, Quad c, Quad d, int serial) {}

    private static final class Forest {
        int checksum = Checksum.START;
        private int serial;

        Quad build(int depth) {
            if (depth == 0) {
                return new Quad(null, null, null, null, serial++);
            }
            Quad a = build(depth - 1);
            Quad b = build(depth - 1);
            Quad c = build(depth - 1);
            Quad d = build(depth - 1);
            return new Quad(a, b, c, d, serial++);
        }

        void look(Quad quad) {
            checksum = Checksum.add(Checksum.add(checksum, quad.serial), quad.c.serial);
        }

        void read(Quad quad) {
            checksum = Checksum.add(checksum, quad.serial);
            if (quad.a != null) {
                read(quad.a);
                read(quad.b);
                read(quad.c);
                read(quad.d);
            }
        }
    }

    @Override
    public int run(Context context) {
        Forest quads = new Forest();
        Quad live = quads.build(context.scale() < SMALL_SCALE ? LIVE_DEPTH_SMALL : LIVE_DEPTH);
        int count = (int) Math.max(1, Math.floor(OPERATIONS_PER_ROUND * context.scale() + 0.5));
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < count; i++) {
                context.operations().begin();
                for (int tree = 0; tree < TREES_PER_OPERATION; tree++) {
                    quads.look(quads.build(GARBAGE_DEPTH));
                }
                context.operations().end();
            }
            quads.read(live);
        }
        return quads.checksum;
    }
}
