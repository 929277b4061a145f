import java.util.Map;

/** A deterministic algorithm; bench/workloads/README.md specifies each. */
interface Workload {
    /** What a thread that runs a workload is given. */
    record Context(double scale, int seed, int thread, Operations operations) {}

    Map<String, Workload> ALL =
            Map.of(
                    "gcbench", new GcBench(GcBench.Plan.SINGLE),
                    "gcbench-mt", new GcBench(GcBench.Plan.THREADED),
                    "binary-trees", new BinaryTrees(),
                    "lru-cache", new LruCache(),
                    "splay", new Splay(),
                    "quads", new Quads(),
                    "hyperalloc", new HyperAlloc(),
                    "pointer-chase", new PointerChase(),
                    "references", new References());

    /** Runs it and returns the checksum of all it read. */
    int run(Context context);

    /** Whether it runs in any number of threads at once. */
    default boolean threaded() {
        return false;
    }
}
