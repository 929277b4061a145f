/** mulberry32: the same seed gives the same numbers in every language. */
final class Random {
    private int state;

    Random(int seed) {
        state = seed;
    }

    /** 32 bits; unsigned. */
    int next() {
        state += 0x6d2b79f5;
        int t = state;
        t = (t ^ (t >>> 15)) * (t | 1);
        t ^= t + (t ^ (t >>> 7)) * (t | 61);
        return t ^ (t >>> 14);
    }

    /** From 0 up to, not including, 1. */
    double unit() {
        return Integer.toUnsignedLong(next()) / 4294967296.0;
    }

    /** From 0 up to, not including, {@code limit}. */
    int below(int limit) {
        return (int) Math.floor(unit() * limit);
    }
}
