import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/** Runs one workload once, writes the log of its operations, and prints one line of JSON. */
final class Main {
    private static final int STATUS_FAILED = 1;
    private static final int STATUS_USAGE = 2;
    /** Ticks of /proc/self/stat a second: a constant of Linux on x86-64. */
    private static final double TICKS_PER_SECOND = 100;

    private Main() {}

    /** A thread that runs the workload, and what came of it. */
    private static final class Runner extends Thread {
        final Operations operations;
        int checksum;
        Throwable failure;
        private final Arguments arguments;
        private final int thread;
        private final CyclicBarrier start;
        private final Clock clock;

        Runner(Arguments arguments, int thread, CyclicBarrier start, Clock clock) {
            super("mutator " + thread);
            this.arguments = arguments;
            this.thread = thread;
            this.start = start;
            this.clock = clock;
            operations = new Operations(arguments.rate());
        }

        @Override
        public void run() {
            try {
                start.await();
                operations.start(clock.beginNanos);
                Workload workload = Workload.ALL.get(arguments.workload());
                checksum =
                        workload.run(
                                new Workload.Context(arguments.scale(), arguments.seed(), thread, operations));
            } catch (InterruptedException | BrokenBarrierException | RuntimeException | Error e) {
                failure = e;
            }
        }
    }

    /** When the workload began, set by the thread that arrives last. */
    private static final class Clock {
        long beginNanos;
        double beginCpuMs;
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        Arguments arguments;
        try {
            arguments = Arguments.parse(args);
        } catch (Arguments.UsageException e) {
            System.err.println("java peer: " + e.getMessage());
            System.exit(STATUS_USAGE);
            return;
        }
        Clock clock = new Clock();
        // Found missing now, not after the run.
        Files.write(arguments.ops(), new byte[0]);
        // The classes that read /proc are loaded before the workload, not within it.
        cpuMs();
        CyclicBarrier start =
                new CyclicBarrier(
                        arguments.threads(),
                        () -> {
                            clock.beginCpuMs = cpuMs();
                            clock.beginNanos = System.nanoTime();
                        });
        Runner[] runners = new Runner[arguments.threads()];
        for (int i = 0; i < runners.length; i++) {
            runners[i] = new Runner(arguments, i, start, clock);
        }
        for (Runner runner : runners) {
            runner.start();
        }
        for (Runner runner : runners) {
            runner.join();
        }
        long endNanos = System.nanoTime();
        double cpuMs = cpuMs() - clock.beginCpuMs;

        int checksum = Checksum.START;
        int operations = 0;
        for (Runner runner : runners) {
            if (runner.failure != null) {
                System.err.println("java peer: " + runner.failure);
                System.exit(STATUS_FAILED);
            }
            checksum = Checksum.add(checksum, runner.checksum);
            operations += runner.operations.count();
        }
        if (!Workload.ALL.get(arguments.workload()).threaded()) {
            checksum = runners[0].checksum;
        }
        try (FileChannel file = FileChannel.open(arguments.ops(), StandardOpenOption.WRITE)) {
            for (Runner runner : runners) {
                runner.operations.writeTo(file);
            }
        }
        markPauseLog(clock.beginNanos, endNanos);
        System.out.printf(
                Locale.ROOT,
                "{\"checksum\":%d,\"wallMs\":%.3f,\"cpuMs\":%.3f,\"peakRssBytes\":%d,\"operations\":%d}%n",
                Integer.toUnsignedLong(checksum),
                (endNanos - clock.beginNanos) / 1e6,
                cpuMs,
                peakRssBytes(),
                operations);
    }

    /** Tells the reader of the JVM's log, whose clock is {@link System#nanoTime}, when the workload ran. */
    private static void markPauseLog(long beginNanos, long endNanos) throws IOException {
        String file = System.getenv("TOSPACE_PAUSE_LOG");
        if (file == null) {
            return;
        }
        Files.writeString(
                Path.of(file),
                "\n[" + beginNanos + "ns] workload begin\n[" + endNanos + "ns] workload end\n",
                StandardOpenOption.CREATE,
                StandardOpenOption.APPEND);
    }

    /** Time of all threads in user and kernel mode, the collector's and the compilers' included. */
    private static double cpuMs() {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // The name in parentheses may have blanks: fields are counted from behind it, from number 3.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) * 1000 / TICKS_PER_SECOND;
        } catch (IOException e) {
            throw new IllegalStateException("/proc/self/stat cannot be read", e);
        }
    }

    private static long peakRssBytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
            }
        }
        throw new IllegalStateException("/proc/self/status has no VmHWM");
    }
}
