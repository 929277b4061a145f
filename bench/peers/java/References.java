import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.HashSet;
import java.util.Set;

/**
 * Weak references, ephemerons and finalizers.
 *
 * <p>Java has no ephemerons: in a WeakHashMap a value that refers to its key keeps it alive for ever. What comes nearest is a value that
 * lies in its key and is reached through a weak reference to it.
 */
final class References implements Workload {
    private static final int OPERATIONS = 32_768;
    private static final int SUBJECTS_MAX = 32_768;
    private static final int SUBJECTS_MIN = 1024;
    private static final int GUARD_EVERY = 4;
    private static final int GRAVES = 4096;
    private static final int REPLACEMENTS_PER_OPERATION = 64;
    private static final int GRAVES_PER_OPERATION = 16;
    /** Whole collections until all that is dead must have been found. */
    private static final int COLLECTIONS_MAX = 1000;
    private static final long ENQUEUED_WAIT_MS = 5;

    private static final class Subject {
        final int[] data;
        final int id;
        Value attached;

        Subject(int id) {
            this.id = id;
            data = new int[4 + (Checksum.mix(id) >>> 8) % 16];
            for (int i = 0; i < data.length; i++) {
                data[i] = id + i;
            }
        }
    }

    private record Value(Subject owner, int number) {}

    private static final class Weak extends WeakReference<Subject> {
        final int id;

        Weak(Subject subject) {
            super(subject);
            id = subject.id;
        }
    }

    private static final class Ephemeron extends WeakReference<Subject> {
        Ephemeron(Subject key, Value value) {
            super(key);
            key.attached = value;
        }

        Value value() {
            Subject key = get();
            return key == null ? null : key.attached;
        }
    }

    /** Comes out of the queue when its subject is dead. */
    private static final class Guard extends PhantomReference<Subject> {
        final int id;

        Guard(Subject subject, ReferenceQueue<Subject> queue) {
            super(subject, queue);
            id = subject.id;
        }
    }

    private record Place(Subject subject, Weak weak, Ephemeron ephemeron) {}

    /** How many have died, or should have, and the exclusive or of their ids. */
    private static final class Deaths {
        int count;
        int ids;

        void add(int id) {
            if (id % GUARD_EVERY != 0) {
                throw new IllegalStateException("subject " + id + " was finalized, and was never guarded");
            }
            count++;
            ids ^= id;
        }
    }

    private static final class State {
        int checksum = Checksum.START;
        private final Random random;
        private final Place[] places;
        private final Place[] graves = new Place[GRAVES];
        private final ReferenceQueue<Subject> dead = new ReferenceQueue<>();
        /** A reference that is not reachable itself never comes out of its queue. */
        private final Set<Guard> guards = new HashSet<>();
        private final Deaths expected = new Deaths();
        private final Deaths finalized = new Deaths();
        private int id;
        private int replaced;

        State(int seed, int count) {
            random = new Random(seed);
            places = new Place[count];
            for (int i = 0; i < count; i++) {
                places[i] = make();
            }
        }

        void step() {
            for (int i = 0; i < REPLACEMENTS_PER_OPERATION; i++) {
                int at = random.below(places.length);
                Place place = places[at];
                read(place);
                // Of the subject only what is weak goes to the grave.
                graves[replaced++ % GRAVES] = new Place(null, place.weak, place.ephemeron);
                if (place.subject.id % GUARD_EVERY == 0) {
                    expected.add(place.subject.id);
                }
                places[at] = make();
            }
            take();
            for (int i = 0; i < GRAVES_PER_OPERATION; i++) {
                look(graves[random.below(GRAVES)]);
            }
        }

        void readAll() {
            for (Place place : places) {
                read(place);
            }
            checksum = Checksum.add(Checksum.add(checksum, expected.count), expected.ids);
        }

        /** Collects until all that is dead has been found. */
        void settle() {
            for (int i = 0; finalized.count < expected.count && i < COLLECTIONS_MAX; i++) {
                System.gc();
                try {
                    // The references are put into their queue by another thread.
                    Guard guard = (Guard) dead.remove(ENQUEUED_WAIT_MS);
                    if (guard != null) {
                        bury(guard);
                    }
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                take();
            }
            if (finalized.count != expected.count || finalized.ids != expected.ids) {
                throw new IllegalStateException(
                        finalized.count + " subjects were finalized, not " + expected.count);
            }
            // Without one guarded subject among the dead nobody has asked for a collection yet.
            System.gc();
            for (Place grave : graves) {
                if (grave != null && (grave.weak.get() != null || grave.ephemeron.value() != null)) {
                    throw new IllegalStateException(
                            "subject " + grave.weak.id + " is reachable by weak references only");
                }
            }
        }

        private Place make() {
            Subject subject = new Subject(id++);
            Value value = new Value(subject, Checksum.mix(subject.id));
            Place place = new Place(subject, new Weak(subject), new Ephemeron(subject, value));
            if (subject.id % GUARD_EVERY == 0) {
                guards.add(new Guard(subject, dead));
            }
            return place;
        }

        private void read(Place place) {
            Subject subject = place.subject;
            Value value = place.ephemeron.value();
            if (place.weak.get() != subject || value == null || value.owner != subject) {
                throw new IllegalStateException("subject " + subject.id + " lives, and has lost a reference");
            }
            int sum = Checksum.add(Checksum.add(checksum, subject.id), value.number);
            checksum = Checksum.add(sum, subject.data[subject.id % subject.data.length]);
        }

        /** Takes all finalizations that have come. */
        private void take() {
            for (Guard guard = (Guard) dead.poll(); guard != null; guard = (Guard) dead.poll()) {
                bury(guard);
            }
        }

        private void bury(Guard guard) {
            guards.remove(guard);
            finalized.add(guard.id);
        }

        private static void look(Place grave) {
            if (grave == null) {
                return;
            }
            Subject subject = grave.weak.get();
            if (subject == null && grave.ephemeron.value() != null) {
                throw new IllegalStateException("subject " + grave.weak.id + " is dead, and its value is not");
            }
            if (subject != null && subject.id != grave.weak.id) {
                throw new IllegalStateException("the reference to " + grave.weak.id + " names another");
            }
        }
    }

    @Override
    public int run(Context context) {
        int count = (int) Math.max(1, Math.floor(OPERATIONS * context.scale() + 0.5));
        int subjects = (int) Math.min(SUBJECTS_MAX, Math.max(SUBJECTS_MIN, 4L * count));
        State state = new State(context.seed(), subjects);
        for (int i = 0; i < count; i++) {
            context.operations().begin();
            state.step();
            context.operations().end();
        }
        state.readAll();
        state.settle();
        return state.checksum;
    }
}
