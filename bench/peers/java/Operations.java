import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.channels.FileChannel;
import java.util.concurrent.locks.LockSupport;

/**
 * When each operation of a thread began and ended, and, under an open load, when it may begin.
 *
 * <p>The log is memory outside the Java heap, allocated and touched beforehand: it is no load on the collector and counts against no limit.
 */
final class Operations {
    static final int LOGGED_MAX = 200_000;

    private static final int PAIR_BYTES = 2 * Double.BYTES;
    /** The last part of a wait is spent looking at the clock. */
    private static final long SPIN_NANOS = 1_000_000;

    private final ByteBuffer bytes;
    private final DoubleBuffer log;
    /** Nanoseconds between two operations; 0 is a closed loop. */
    private final double interval;
    private long origin;
    private long first;
    private long index;
    private int at;

    /** A rate of 0: each operation begins when the one before it is over. */
    Operations(double rate) {
        // One pair more than are logged: all further ones are written there.
        bytes = ByteBuffer.allocateDirect((LOGGED_MAX + 1) * PAIR_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        log = bytes.asDoubleBuffer();
        for (int i = 0; i < log.capacity(); i++) {
            log.put(i, 0);
        }
        interval = rate > 0 ? 1e9 / rate : 0;
    }

    /** The workload began when {@link System#nanoTime} said {@code origin}. */
    void start(long origin) {
        this.origin = origin;
    }

    void begin() {
        long now = System.nanoTime();
        if (interval > 0) {
            now = awaitDue(now);
        }
        log.put(at, (now - origin) / 1e6);
    }

    void end() {
        log.put(at + 1, (System.nanoTime() - origin) / 1e6);
        if (at < 2 * LOGGED_MAX) {
            at += 2;
        }
    }

    int count() {
        return at / 2;
    }

    void writeTo(FileChannel file) throws IOException {
        ByteBuffer written = bytes.duplicate().limit(count() * PAIR_BYTES);
        while (written.hasRemaining()) {
            file.write(written);
        }
    }

    private long awaitDue(long start) {
        long now = start;
        if (index == 0) {
            first = now;
        }
        long due = first + (long) (index++ * interval);
        while (now < due) {
            if (due - now > SPIN_NANOS) {
                LockSupport.parkNanos(due - now - SPIN_NANOS);
            } else {
                Thread.onSpinWait();
            }
            now = System.nanoTime();
        }
        return now;
    }
}
