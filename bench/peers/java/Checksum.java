/** FNV-1a over 32-bit words, and the function that contents are made with. */
final class Checksum {
    static final int START = 0x811c9dc5;

    private static final int PRIME = 0x01000193;

    private Checksum() {}

    static int add(int checksum, int word) {
        return (checksum ^ word) * PRIME;
    }

    /** Scatters the bits of a word. */
    static int mix(int word) {
        int h = word;
        h = (h ^ (h >>> 16)) * 0x85ebca6b;
        h = (h ^ (h >>> 13)) * 0xc2b2ae35;
        return h ^ (h >>> 16);
    }
}
