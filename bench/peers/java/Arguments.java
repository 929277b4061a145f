import java.nio.file.Path;

/** The command line, the same in every language: {@code WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE}. */
record Arguments(String workload, double scale, int seed, int threads, double rate, Path ops) {
    static final int THREADS_MAX = 64;

    /** A mistake on the command line. */
    static final class UsageException extends Exception {
        private static final long serialVersionUID = 1;

        UsageException(String message) {
            super(message);
        }
    }

    static Arguments parse(String[] args) throws UsageException {
        if (args.length == 0) {
            throw new UsageException("usage: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE");
        }
        String workload = args[0];
        if (!Workload.ALL.containsKey(workload)) {
            throw new UsageException("no workload " + workload);
        }
        Double scale = null;
        Long seed = null;
        Long threads = null;
        double rate = 0;
        Path ops = null;
        for (int i = 1; i < args.length; i += 2) {
            String name = args[i];
            if (i + 1 == args.length) {
                throw new UsageException(name + " needs a value");
            }
            String value = args[i + 1];
            switch (name) {
                case "--scale" -> scale = positive(name, value);
                case "--seed" -> seed = integer(name, value, 0, 0xffff_ffffL);
                case "--threads" -> threads = integer(name, value, 1, THREADS_MAX);
                case "--rate" -> rate = positive(name, value);
                case "--ops" -> ops = Path.of(value);
                default -> throw new UsageException("no option " + name);
            }
        }
        if (scale == null || seed == null || threads == null || ops == null) {
            throw new UsageException("--scale, --seed, --threads and --ops are needed");
        }
        if (threads > 1 && !Workload.ALL.get(workload).threaded()) {
            throw new UsageException(workload + " runs in one thread");
        }
        return new Arguments(workload, scale, seed.intValue(), threads.intValue(), rate, ops);
    }

    private static double positive(String name, String value) throws UsageException {
        try {
            double number = Double.parseDouble(value);
            if (number > 0 && Double.isFinite(number)) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new UsageException(name + " takes a number above 0, not " + value);
    }

    private static long integer(String name, String value, long min, long max) throws UsageException {
        try {
            long number = Long.parseLong(value);
            if (number >= min && number <= max) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new UsageException(name + " takes an integer from " + min + " to " + max + ", not " + value);
    }
}
